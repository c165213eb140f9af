/* Manifests: a claim for weights, the engine (a Deployment, or a LeaderWorkerSet beyond one host),
 * its service, and Hotspare before it: several replicas, a disruption budget, its configuration.
 *
 * Secrets are named and never written. Sources: Kubernetes API reference, LeaderWorkerSet v1 API
 * (LWS_LEADER_ADDRESS, LWS_WORKER_INDEX), vLLM recipes' multi-node strategy. */
#include "tools/deploy/deploy_internal.h"
#include <math.h>

#define PROBE_SECONDS 10.0

const char *deploy_refused(const struct deploy *d, const char *format)
{
    bool kubernetes = strcmp(format, "kubernetes") == 0;
    if (d->hosts > 1 && (strcmp(format, "compose") == 0 || strcmp(format, "systemd") == 0))
        return "the plan takes several hosts: kubernetes and command can say that";
    if (kubernetes && d->file)
        return "a file of this machine is not in the cluster: name a repository with --repo";
    if (kubernetes && d->ray && !d->image)
        return "vLLM's images hold no Ray since 0.19: build one with Ray and wget "
               "(docs/deploying.md has the lines) and name it with --image";
    if (kubernetes && !deploy_is_vllm(d) && !d->image)
        return "llama.cpp's images are numbered by build and none was checked: pin one with "
               "--image";
    return NULL;
}

static const char *gpu_resource(const struct deploy *d)
{
    return !d->plan.d.gpu                              ? NULL
           : strcmp(d->plan.d.gpu->vendor, "AMD") == 0 ? "amd.com/gpu"
                                                       : "nvidia.com/gpu";
}

static void args(const struct deploy *d, int indent, bool worker, struct buf *out)
{
    for (size_t i = 0; i < d->flag_count; i++) {
        const struct deploy_flag *f = &d->flags[i];
        deploy_put(out, "%*s# %s\n", indent, "", f->why);
        if (f->name) {
            deploy_put(out, "%*s- ", indent, "");
            deploy_quoted(out, f->name, "$");
            deploy_put(out, "\n");
        }
        if (f->value) {
            deploy_put(out, "%*s- ", indent, "");
            deploy_quoted(out, f->value, "$");
            deploy_put(out, "\n");
        }
    }
    deploy_put(out, "%*s- \"--host\"\n%*s- \"0.0.0.0\"\n", indent, "", indent, "");
    if (d->hosts > 1 && !d->ray)
        deploy_put(out,
                   "%*s# the group's hosts find each other by what LeaderWorkerSet tells them\n"
                   "%*s- \"--nnodes=%u\"\n%*s- \"--node-rank=$(LWS_WORKER_INDEX)\"\n"
                   "%*s- \"--master-addr=$(LWS_LEADER_ADDRESS)\"\n",
                   indent, "", indent, "", d->hosts, indent, "", indent, "");
    if (worker)
        deploy_put(out, "%*s- \"--headless\" # the leader alone answers requests\n", indent, "");
}

static void probes(const struct deploy *d, int in, struct buf *out)
{
    deploy_put(out,
               "%*sstartupProbe: # download and load may take this long, and no longer\n"
               "%*s  httpGet: {path: /health, port: %u}\n"
               "%*s  periodSeconds: %.0f\n%*s  failureThreshold: %.0f\n",
               in, "", in, "", d->port, in, "", PROBE_SECONDS, in, "",
               ceil(deploy_load_minutes(d) * 60 / PROBE_SECONDS));
    deploy_put(out,
               "%*sreadinessProbe: {httpGet: {path: /health, port: %u}, periodSeconds: 5}\n"
               "%*slivenessProbe: {httpGet: {path: /health, port: %u}, periodSeconds: 10, "
               "timeoutSeconds: 5, failureThreshold: 6}\n",
               in, "", d->port, in, "", d->port);
}

static void engine_command(const struct deploy *d, int in, bool worker, struct buf *out)
{
    if (deploy_is_vllm(d))
        deploy_put(out, "%*s  command: %s\n", in, "",
                   d->ray ? "[\"/bin/sh\", \"-ec\"]" : "[\"vllm\", \"serve\"]");
    deploy_put(out, "%*s  args:\n", in, "");
    if (d->ray)
        deploy_ray_args(d, in + 2, worker, args, out);
    else
        args(d, in + 2, worker, out);
}

static void environment(const struct deploy *d, int in, struct buf *out)
{
    deploy_put(
        out,
        "%*s  env:\n%*s  - name: HF_TOKEN # for gated repositories\n"
        "%*s    valueFrom: {secretKeyRef: {name: hotspare, key: HF_TOKEN, optional: true}}\n",
        in, "", in, "", in, "");
    if (!deploy_is_vllm(d)) {
        deploy_put(out, "%*s  - {name: LLAMA_CACHE, value: /cache/llama.cpp}\n", in, "");
        return;
    }
    deploy_put(out,
               "%*s  - {name: HF_HOME, value: /cache/huggingface}\n"
               "%*s  - {name: VLLM_CACHE_ROOT, value: /cache/vllm} # compiled kernels\n"
               "%*s  - {name: VLLM_NO_USAGE_STATS, value: \"1\"} # vLLM reports home by default\n",
               in, "", in, "", in, "");
    if (d->ray)
        deploy_put(out, "%*s  - {name: RAY_USAGE_STATS_ENABLED, value: \"0\"} # so does Ray\n", in,
                   "");
    if (d->hosts > 1)
        deploy_put(out,
                   "%*s  - name: VLLM_HOST_IP # where this host's ranks are reached by the others\n"
                   "%*s    valueFrom: {fieldRef: {fieldPath: status.podIP}}\n",
                   in, "", in, "");
}

/* Without requests for memory the pod would be the first one to be evicted. */
static void resources(const struct deploy *d, int in, struct buf *out)
{
    const char *name = gpu_resource(d);
    uint32_t cards = name ? deploy_cards(d) : 0;
    double host = d->plan.m.host_needed / d->hosts / 1073741824.0 + 4 + 2.0 * cards;
    deploy_put(out,
               "%*s  resources:\n"
               "%*s    requests: {cpu: \"%u\", memory: %.0fGi} # a pod without is evicted first\n",
               in, "", in, "", 2 + 2 * cards, ceil(host));
    if (name)
        deploy_put(out,
                   "%*s    limits: {%s: %u} # all the cards of this host that the plan takes\n", in,
                   "", name, cards);
}

static void storage(const struct deploy *d, int in, struct buf *out)
{
    bool shm = deploy_is_vllm(d);
    deploy_put(out,
               "%*s  securityContext: {allowPrivilegeEscalation: false}\n"
               "%*s  volumeMounts:\n%*s  - {name: cache, mountPath: /cache}\n",
               in, "", in, "", in, "");
    if (shm)
        deploy_put(out,
                   "%*s  - {name: shm, mountPath: /dev/shm} # tensor parallel ranks talk there\n",
                   in, "");
    deploy_put(out,
               "%*svolumes:\n%*s- {name: cache, persistentVolumeClaim: {claimName: "
               "hotspare-weights}}\n",
               in, "", in, "");
    if (shm)
        deploy_put(out, "%*s- {name: shm, emptyDir: {medium: Memory, sizeLimit: 16Gi}}\n", in, "");
}

/* All of a pod's spec. */
static void engine_pod(const struct deploy *d, int in, bool worker, struct buf *out)
{
    const char *resource = gpu_resource(d);
    deploy_put(out, "%*sautomountServiceAccountToken: false\n%*senableServiceLinks: false\n", in,
               "", in, "");
    if (resource)
        deploy_put(out,
                   "%*stolerations: [{key: %s, operator: Exists}] # hosts with cards are often "
                   "tainted so\n",
                   in, "", resource);
    if (d->ray && !worker)
        deploy_put(out, "%*srestartPolicy: Always # a lost rank ends vLLM; both start anew\n", in,
                   "");
    deploy_put(out, "%*scontainers:\n%*s- name: engine\n%*s  image: ", in, "", in, "", in, "");
    if (d->image)
        deploy_quoted(out, d->image, "");
    else
        deploy_put(out, "vllm/vllm-openai%s:v" DEPLOY_VLLM_VERSION,
                   resource && resource[0] == 'a' ? "-rocm" : "");
    deploy_put(out, " # pinned: flags change between releases\n");
    engine_command(d, in, worker, out);
    environment(d, in, out);
    if (!worker)
        deploy_put(out, "%*s  ports: [{name: http, containerPort: %u}]\n", in, "", d->port);
    if (!worker)
        probes(d, in + 2, out);
    resources(d, in, out);
    storage(d, in, out);
}

static void claim(const struct deploy *d, struct buf *out)
{
    deploy_put(out,
               "# Twice the weights: a new revision is fetched beside the old one.%s\n"
               "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: hotspare-weights}\n"
               "spec:\n  accessModes: [%s]\n  resources: {requests: {storage: %.0fGi}}\n",
               d->hosts > 1
                   ? "\n# Every host reads them: the storage class has to offer ReadWriteMany."
                   : "",
               d->hosts > 1 ? "ReadWriteMany" : "ReadWriteOnce",
               ceil(d->plan.m.weights.total * 2 / 1073741824.0) + 10);
}

static void one_host(const struct deploy *d, struct buf *out)
{
    deploy_put(out,
               "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: hotspare-engine}\nspec:\n"
               "  replicas: 1\n"
               "  strategy: {type: Recreate} # there are no cards for a second one meanwhile\n"
               "  progressDeadlineSeconds: %.0f # no verdict before the start-up probe's\n"
               "  selector: {matchLabels: {app: hotspare-engine}}\n  template:\n"
               "    metadata: {labels: {app: hotspare-engine, hotspare-group: engine}}\n"
               "    spec:\n",
               deploy_load_minutes(d) * 60 + 600);
    engine_pod(d, 6, false, out);
}

static void several_hosts(const struct deploy *d, struct buf *out)
{
    if (d->ray) {
        deploy_ray_cluster(d, engine_pod, out);
        return;
    }
    deploy_put(out,
               "# Needs the LeaderWorkerSet controller. One group of %u hosts is one engine.\n"
               "apiVersion: leaderworkerset.x-k8s.io/v1\nkind: LeaderWorkerSet\n"
               "metadata: {name: hotspare-engine}\nspec:\n  replicas: 1\n"
               "  leaderWorkerTemplate:\n    size: %u\n"
               "    restartPolicy: RecreateGroupOnPodRestart # a lost rank ends the whole engine\n"
               "    leaderTemplate:\n"
               "      metadata: {labels: {app: hotspare-engine, hotspare-group: engine}}\n"
               "      spec:\n",
               d->hosts, d->hosts);
    engine_pod(d, 8, false, out);
    deploy_put(out, "    workerTemplate:\n      metadata: {labels: {hotspare-group: engine}}\n"
                    "      spec:\n");
    engine_pod(d, 8, true, out);
}

/* Engines, their ranks and Ray ask nobody for a key. */
static void fence(const struct deploy *d, struct buf *out)
{
    deploy_put(out,
               "# The engine asks nobody for a key%s. Only Hotspare's pods get in%s; add whoever "
               "reads its metrics.\n"
               "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
               "metadata: {name: hotspare-engine}\nspec:\n"
               "  podSelector: {matchLabels: {hotspare-group: engine}}\n"
               "  policyTypes: [Ingress]\n  ingress:\n"
               "  - from: [{podSelector: {matchLabels: {app: hotspare}}}]\n"
               "    ports: [{port: %u}]\n",
               d->hosts > 1 ? ", and its ranks run what they are sent" : "",
               d->hosts > 1 ? ", and its hosts among themselves" : "", d->port);
    if (d->hosts > 1)
        deploy_put(out, "  - from: [{podSelector: {matchLabels: {hotspare-group: engine}}}]\n");
}

static void service(const char *name, uint32_t port, struct buf *out)
{
    deploy_put(out,
               "apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec:\n"
               "  selector: {app: %s}\n  ports: [{name: http, port: %u, targetPort: http}]\n",
               name, name, port);
}

static void gateway(const struct deploy *d, struct buf *out)
{
    deploy_put(
        out,
        "# plain_http: engines offer no TLS. Who can read the cluster's network reads prompts: "
        "encrypt it, or put a proxy before the engine.\n"
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: hotspare}\ndata:\n"
        "  hotspare.yaml: |\n    listen: 0.0.0.0:8484\n"
        "    keys: {clients: env:HOTSPARE_CLIENT_KEY}\n");
    deploy_config(d, "hotspare-engine", 4, out);
    deploy_put(out,
               "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: hotspare}\nspec:\n"
               "  replicas: %.0f\n  selector: {matchLabels: {app: hotspare}}\n  template:\n"
               "    metadata: {labels: {app: hotspare}}\n    spec:\n"
               "      automountServiceAccountToken: false\n      enableServiceLinks: false\n"
               "      terminationGracePeriodSeconds: 630 # a drain waits 600 s for streams\n"
               "      topologySpreadConstraints: # replicas on one host would die together\n"
               "      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: "
               "ScheduleAnyway, labelSelector: {matchLabels: {app: hotspare}}}\n"
               "      containers:\n      - name: hotspare\n        image: ",
               d->replicas);
    if (d->hotspare_image)
        deploy_quoted(out, d->hotspare_image, "");
    else
        deploy_put(out, "hotspare:" HOTSPARE_VERSION
                        " # build it (Dockerfile) and put it into your registry");
    deploy_put(
        out, "\n        args: [serve, --config, /etc/hotspare/hotspare.yaml]\n"
             "        envFrom: [{secretRef: {name: hotspare}}]\n"
             "        ports: [{name: http, containerPort: 8484}]\n"
             "        # The admin port stays on the pod's loopback, so the door itself is asked.\n"
             "        readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 5}\n"
             "        resources: {requests: {cpu: 250m, memory: 128Mi}}\n"
             "        securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: "
             "true, runAsNonRoot: true, runAsUser: 65532, capabilities: {drop: [ALL]}}\n"
             "        env: [{name: HOME, value: /state}]\n"
             "        volumeMounts:\n        - {name: config, mountPath: /etc/hotspare}\n"
             "        - {name: state, mountPath: /state}\n"
             "      volumes:\n      - {name: config, configMap: {name: hotspare}}\n"
             "      - {name: state, emptyDir: {}}\n---\n");
    service("hotspare", 8484, out);
    deploy_put(out, "---\n# One replica at a time may be taken away by a drain of its host.\n"
                    "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: hotspare}\n"
                    "spec:\n  maxUnavailable: 1\n  selector: {matchLabels: {app: hotspare}}\n");
}

void deploy_kubernetes(const struct deploy *d, struct buf *out)
{
    deploy_head(d, out);
    deploy_put(out, "# Keys are not in here. Put them into a Secret named hotspare first:\n"
                    "#   kubectl create secret generic hotspare --from-env-file=FILE\n"
                    "# FILE names ANTHROPIC_API_KEY, HOTSPARE_CLIENT_KEY and, if needed, "
                    "HF_TOKEN.\n");
    claim(d, out);
    deploy_put(out, "---\n");
    if (d->hosts > 1)
        several_hosts(d, out);
    else
        one_host(d, out);
    deploy_put(out, "---\n");
    service("hotspare-engine", d->port, out);
    deploy_put(out, "---\n");
    fence(d, out);
    deploy_put(out, "---\n");
    gateway(d, out);
}

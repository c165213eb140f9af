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
    if (kubernetes && !deploy_is_vllm(d) && !d->image)
        return "llama.cpp's images are numbered by build and none was checked: pin one with "
               "--image";
    return NULL;
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
    if (d->hosts > 1)
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

static void container(const struct deploy *d, int in, bool worker, struct buf *out)
{
    const char *resource = !d->plan.d.gpu                              ? NULL
                           : strcmp(d->plan.d.gpu->vendor, "AMD") == 0 ? "amd.com/gpu"
                                                                       : "nvidia.com/gpu";
    bool rocm = resource && resource[0] == 'a';
    deploy_put(out, "%*scontainers:\n%*s- name: engine\n%*s  image: ", in, "", in, "", in, "");
    if (d->image)
        deploy_quoted(out, d->image, "");
    else
        deploy_put(out, "vllm/vllm-openai%s:v" DEPLOY_VLLM_VERSION, rocm ? "-rocm" : "");
    deploy_put(out, "\n");
    if (deploy_is_vllm(d))
        deploy_put(out, "%*s  command: [\"vllm\", \"serve\"]\n", in, "");
    deploy_put(out, "%*s  args:\n", in, "");
    args(d, in + 2, worker, out);
    deploy_put(out,
               "%*s  env:\n%*s  - name: HF_TOKEN # for gated repositories\n"
               "%*s    valueFrom: {secretKeyRef: {name: hotspare, key: HF_TOKEN, optional: true}}\n"
               "%*s  - {name: HF_HOME, value: /cache/huggingface}\n"
               "%*s  - {name: VLLM_CACHE_ROOT, value: /cache/vllm}\n"
               "%*s  - {name: LLAMA_CACHE, value: /cache/llama.cpp}\n",
               in, "", in, "", in, "", in, "", in, "", in, "");
    if (!worker)
        deploy_put(out, "%*s  ports: [{name: http, containerPort: %u}]\n", in, "", d->port);
    if (!worker)
        probes(d, in + 2, out);
    if (resource)
        deploy_put(out, "%*s  resources: {limits: {%s: %u}}\n", in, "", resource, deploy_cards(d));
    deploy_put(out,
               "%*s  securityContext: {allowPrivilegeEscalation: false}\n"
               "%*s  volumeMounts:\n%*s  - {name: cache, mountPath: /cache}\n"
               "%*s  - {name: shm, mountPath: /dev/shm} # tensor parallel ranks talk there\n",
               in, "", in, "", in, "", in, "");
    deploy_put(out,
               "%*svolumes:\n%*s- {name: cache, persistentVolumeClaim: {claimName: "
               "hotspare-weights}}\n"
               "%*s- {name: shm, emptyDir: {medium: Memory, sizeLimit: 16Gi}}\n",
               in, "", in, "", in, "");
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
               "  selector: {matchLabels: {app: hotspare-engine}}\n  template:\n"
               "    metadata: {labels: {app: hotspare-engine}}\n    spec:\n"
               "      automountServiceAccountToken: false\n");
    container(d, 6, false, out);
}

static void several_hosts(const struct deploy *d, struct buf *out)
{
    deploy_put(out,
               "# Needs the LeaderWorkerSet controller. One group of %u hosts is one engine.\n"
               "apiVersion: leaderworkerset.x-k8s.io/v1\nkind: LeaderWorkerSet\n"
               "metadata: {name: hotspare-engine}\nspec:\n  replicas: 1\n"
               "  leaderWorkerTemplate:\n    size: %u\n"
               "    restartPolicy: RecreateGroupOnPodRestart # a lost rank ends the whole engine\n"
               "    leaderTemplate:\n      metadata: {labels: {app: hotspare-engine}}\n"
               "      spec:\n        automountServiceAccountToken: false\n",
               d->hosts, d->hosts);
    container(d, 8, false, out);
    deploy_put(out, "    workerTemplate:\n      spec:\n"
                    "        automountServiceAccountToken: false\n");
    container(d, 8, true, out);
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
               "      automountServiceAccountToken: false\n"
               "      terminationGracePeriodSeconds: 630 # a drain waits 600 s for streams\n"
               "      topologySpreadConstraints: # replicas on one host would die together\n"
               "      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: "
               "ScheduleAnyway, labelSelector: {matchLabels: {app: hotspare}}}\n"
               "      containers:\n      - name: hotspare\n        image: ",
               d->replicas);
    if (d->hotspare_image)
        deploy_quoted(out, d->hotspare_image, "");
    else
        deploy_put(out, "hotspare:" HOTSPARE_VERSION " # build it and put it into your registry");
    deploy_put(
        out, "\n        args: [serve, --config, /etc/hotspare/hotspare.yaml]\n"
             "        envFrom: [{secretRef: {name: hotspare}}]\n"
             "        ports: [{name: http, containerPort: 8484}]\n"
             "        # The admin port stays on the pod's loopback, so the door itself is asked.\n"
             "        readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 5}\n"
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
    gateway(d, out);
}

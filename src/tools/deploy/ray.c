/* Several hosts through Ray: a RayCluster whose head runs vLLM, and the same by hand.
 *
 * Ray starts the ranks; requests, flags and files stay vLLM's own. Not a RayService: that would be
 * Ray Serve's server with a vLLM of its own choice. KubeRay leaves the pods' commands alone
 * (overwrite-container-cmd) and gives each its `ray start` in a variable. vLLM wants a card where
 * `vllm serve` runs, so the head is one of the hosts, not one more.
 * Sources: vLLM docs/serving/parallelism_scaling.md, KubeRay 1.5 ray.io/v1 and its pod builder,
 * Ray's CLI reference. vLLM's images hold no Ray since 0.19 (lws issue 835). */
#include "tools/deploy/deploy_internal.h"

#define RAY_PORT 6379

/* vLLM would wait, too, but says less about what for. */
static void wait_for_cards(const struct deploy *d, const char *indent, struct buf *out)
{
    deploy_put(out,
               "%suntil python3 -c 'import ray; ray.init(address=\"auto\"); "
               "raise SystemExit(ray.cluster_resources().get(\"GPU\", 0) < %u)'; do\n"
               "%s  echo \"waiting for %u cards\"; sleep 5\n%sdone\n",
               indent, d->plan.cards, indent, d->plan.cards, indent);
}

void deploy_ray_args(const struct deploy *d, int in, bool worker, deploy_flags_fn flags,
                     struct buf *out)
{
    if (worker) {
        deploy_put(out,
                   "%*s- |\n%*s  ulimit -n 65536 2>/dev/null || :\n"
                   "%*s  eval \"exec $KUBERAY_GEN_RAY_START_CMD\"\n",
                   in, "", in, "", in, "");
        return;
    }
    char deep[32];
    (void)snprintf(deep, sizeof deep, "%*s", in + 2, "");
    deploy_put(out,
               "%*s- | # Ray first; when every host has brought its cards, vLLM with what follows\n"
               "%sulimit -n 65536 2>/dev/null || :\n%seval \"$KUBERAY_GEN_RAY_START_CMD\" &\n",
               in, "", deep, deep);
    wait_for_cards(d, deep, out);
    deploy_put(out, "%sexec vllm serve \"$@\"\n%*s- vllm\n", deep, in, "");
    flags(d, in, false, out);
}

static void ray_group(const struct deploy *d, bool worker, deploy_flags_fn pod, struct buf *out)
{
    const int in = 4;
    deploy_put(out,
               "%*srayStartParams: %s\n%*stemplate:\n"
               "%*s  metadata: {labels: {%shotspare-group: engine}}\n%*s  spec:\n",
               in, "",
               worker ? "{}" : "{include-dashboard: \"false\"} # it runs code for who reaches it",
               in, "", in, "", worker ? "" : "app: hotspare-engine, ", in, "");
    pod(d, in + 4, worker, out);
}

void deploy_ray_cluster(const struct deploy *d, deploy_flags_fn pod, struct buf *out)
{
    deploy_put(
        out,
        "# Needs the KubeRay operator (1.5 was read). Head and workers, %u hosts, are one "
        "engine.\n"
        "# vLLM's own images hold no Ray since 0.19, and KubeRay's probes call wget. An image "
        "with both:\n"
        "#   FROM vllm/vllm-openai:v" DEPLOY_VLLM_VERSION "\n"
        "#   RUN apt-get update && apt-get install -y wget && uv pip install --system "
        "\"ray[default,cgraph]==2.54.0\"\n"
        "apiVersion: ray.io/v1\nkind: RayCluster\nmetadata:\n  name: hotspare-engine\n"
        "  annotations:\n"
        "    ray.io/overwrite-container-cmd: \"true\" # the commands below stay as they are\n"
        "spec:\n  headGroupSpec:\n",
        d->hosts);
    ray_group(d, false, pod, out);
    deploy_put(out,
               "  workerGroupSpecs:\n  - groupName: hosts\n"
               "    # One number: a host more or less is another split of the model.\n"
               "    replicas: %u\n    minReplicas: %u\n    maxReplicas: %u\n",
               d->hosts - 1, d->hosts - 1, d->hosts - 1);
    ray_group(d, true, pod, out);
}

void deploy_ray_shell(const struct deploy *d, uint32_t rank, struct buf *out)
{
    if (rank > 0) {
        deploy_put(out, "exec ray start --address \"$MASTER:%d\" --disable-usage-stats --block\n",
                   RAY_PORT);
        return;
    }
    deploy_put(out,
               "# Ray's ports ask nobody for a key and run what they are sent: a private network "
               "only.\n"
               "ray start --head --node-ip-address \"$MASTER\" --port %d "
               "--include-dashboard=false --disable-usage-stats\n",
               RAY_PORT);
    wait_for_cards(d, "", out);
}

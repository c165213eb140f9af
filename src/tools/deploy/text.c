/* The plain formats: a command, a unit for systemd, a compose file, Hotspare's own configuration.
 * What is the same in each (head, quoting, the configuration) is written once, here. */
#include "tools/deploy/deploy_internal.h"

void deploy_put(struct buf *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    enum err e = buf_vprintf(out, format, args);
    va_end(args);
    (void)e; /* the caller sees a full buffer by its length */
}

void deploy_quoted(struct buf *out, const char *text, const char *twice)
{
    deploy_put(out, "\"");
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            deploy_put(out, "\\");
        if (strchr(twice, *text))
            deploy_put(out, "%c", *text);
        if ((unsigned char)*text >= ' ')
            deploy_put(out, "%c", *text);
    }
    deploy_put(out, "\"");
}

void deploy_head(const struct deploy *d, struct buf *out)
{
    const struct deployment *p = &d->plan.d;
    char cards[16] = "";
    if (p->gpu)
        (void)snprintf(cards, sizeof cards, "%ux ", d->plan.cards);
    deploy_put(out,
               "# Written by hotspare deploy: %s, %s, %s, %s%s, %.0f tokens of context.\n"
               "# Judged by the plan, not tried on this hardware. Licence: %s, %s use: %s.\n",
               p->model->id, p->quant->id, engine_name(p->engine), cards,
               p->gpu ? p->gpu->name : p->host->name, p->context,
               p->model->licence ? p->model->licence : "not known", use_kind_name(d->use.kind),
               ruling_name(d->verdict.verdict));
    if (d->note[0])
        deploy_put(out, "# To check: %s.\n", d->note);
}

static void whys(const struct deploy *d, struct buf *out)
{
    for (size_t i = 0; i < d->flag_count; i++)
        deploy_put(out, "# %-28s %s\n", d->flags[i].name ? d->flags[i].name : "(model)",
                   d->flags[i].why);
}

/* Outside of vLLM's image its templates are nowhere by themselves. */
static const char *host_value(const struct deploy *d, const struct deploy_flag *f, char *room,
                              size_t size)
{
    if (!d->chat_template || !f->name || strcmp(f->name, "--chat-template") != 0)
        return f->value;
    (void)snprintf(room, size, DEPLOY_HOST_TEMPLATES "%s", d->chat_template);
    return room;
}

static void before_start(const struct deploy *d, struct buf *out)
{
    if (d->chat_template)
        deploy_put(out,
                   "# Before the first start: put examples/%s of vLLM " DEPLOY_VLLM_VERSION
                   "'s source into " DEPLOY_HOST_TEMPLATES ".\n",
                   d->chat_template);
}

/* ---- command ---- */

static void shell_word(struct buf *out, const char *s)
{
    deploy_put(out, " '");
    for (; *s; s++)
        deploy_put(out, *s == '\'' ? "'\\''" : "%c", *s);
    deploy_put(out, "'");
}

static void shell_line(const struct deploy *d, uint32_t rank, struct buf *out)
{
    const char *own = deploy_is_vllm(d) ? "vllm" : "llama-server";
    deploy_put(out, "exec");
    shell_word(out, d->program ? d->program : own);
    if (deploy_is_vllm(d))
        deploy_put(out, " serve");
    char room[512];
    for (size_t i = 0; i < d->flag_count; i++) {
        if (d->flags[i].name)
            deploy_put(out, " \\\n    %s", d->flags[i].name);
        if (d->flags[i].value)
            shell_word(out, host_value(d, &d->flags[i], room, sizeof room));
    }
    deploy_put(out, " \\\n    --host %s", d->hosts > 1 ? "0.0.0.0" : "127.0.0.1");
    if (d->hosts > 1 && !d->ray)
        deploy_put(out, " \\\n    --nnodes %u --node-rank %u --master-addr \"$MASTER\"%s", d->hosts,
                   rank, rank ? " --headless" : "");
    deploy_put(out, "\n");
}

void deploy_command(const struct deploy *d, struct buf *out)
{
    deploy_put(out, "#!/bin/sh\n");
    deploy_head(d, out);
    whys(d, out);
    before_start(d, out);
    deploy_put(out, "# HF_TOKEN in the environment opens gated repositories.\nset -eu\n");
    if (deploy_is_vllm(d))
        deploy_put(out, "export VLLM_NO_USAGE_STATS=1 # vLLM reports home by default\n");
    if (d->hosts == 1) {
        shell_line(d, 0, out);
        return;
    }
    deploy_put(out,
               "# One command a host: RANK 0 first; MASTER is the address of rank 0.\n"
               ": \"${MASTER:?set MASTER to the address of rank 0}\"\n"
               "case \"${RANK:?set RANK to 0 ... %u}\" in\n",
               d->hosts - 1);
    for (uint32_t rank = 0; rank < d->hosts; rank++) {
        deploy_put(out, "%u)\n", rank);
        if (d->ray)
            deploy_ray_shell(d, rank, out);
        if (!d->ray || rank == 0)
            shell_line(d, rank, out);
        deploy_put(out, ";;\n");
    }
    deploy_put(out, "*) echo \"no rank $RANK\" >&2; exit 64 ;;\nesac\n");
}

/* ---- systemd ---- */

static const char hardening[] =
    "DynamicUser=yes\n"
    "StateDirectory=hotspare-engine\n"
    "CacheDirectory=hotspare-engine\n"
    "NoNewPrivileges=yes\n"
    "CapabilityBoundingSet=\n"
    "AmbientCapabilities=\n"
    "ProtectSystem=strict\n"
    "ProtectHome=yes\n"
    "PrivateTmp=yes\n"
    "ProtectKernelTunables=yes\n"
    "ProtectKernelModules=yes\n"
    "ProtectKernelLogs=yes\n"
    "ProtectControlGroups=yes\n"
    "ProtectClock=yes\n"
    "ProtectHostname=yes\n"
    "ProtectProc=invisible\n"
    "ProcSubset=all\n" /* engines read /proc/cpuinfo and /proc/meminfo */
    "PrivateUsers=yes\n"
    "RestrictNamespaces=yes\n"
    "RestrictRealtime=yes\n"
    "RestrictSUIDSGID=yes\n"
    "LockPersonality=yes\n"
    "RemoveIPC=yes\n"
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n"
    "SystemCallArchitectures=native\n"
    "SystemCallFilter=@system-service\n"
    "SystemCallFilter=~@privileged @resources\n"
    "SystemCallFilter=mbind set_mempolicy sched_setaffinity setpriority sched_setscheduler\n"
    "UMask=0077\n";

static void devices(const struct deploy *d, struct buf *out)
{
    deploy_put(out, "# No MemoryDenyWriteExecute: engines compile kernels while they run.\n"
                    "DevicePolicy=closed\n");
    if (!d->plan.d.gpu) {
        deploy_put(out, "PrivateDevices=yes\n");
        return;
    }
    if (strcmp(d->plan.d.gpu->vendor, "AMD") == 0)
        deploy_put(out, "DeviceAllow=/dev/kfd rw\nDeviceAllow=char-drm rw\n"
                        "SupplementaryGroups=render video\n");
    else
        deploy_put(out, "# Cards are seen only by these names. The unit may not make them: have\n"
                        "# `nvidia-modprobe -c 0 -u` run at boot where nothing else does.\n"
                        "DeviceAllow=char-nvidia-frontend rw\nDeviceAllow=char-nvidia rw\n"
                        "DeviceAllow=char-nvidia-uvm rw\nDeviceAllow=char-nvidia-caps rw\n");
}

void deploy_systemd(const struct deploy *d, struct buf *out)
{
    const char *own = deploy_is_vllm(d) ? "/opt/vllm/bin/vllm" : "/usr/local/bin/llama-server";
    char room[512];
    deploy_head(d, out);
    whys(d, out);
    before_start(d, out);
    deploy_put(out,
               "\n[Unit]\nDescription=%s for Hotspare\n"
               "Wants=network-online.target\nAfter=network-online.target\n"
               "StartLimitIntervalSec=0\n\n[Service]\nExecStart=",
               engine_name(d->plan.d.engine));
    deploy_put(out, "%s%s", d->program ? d->program : own, deploy_is_vllm(d) ? " serve" : "");
    for (size_t i = 0; i < d->flag_count; i++) {
        deploy_put(out, " \\\n    %s%s", d->flags[i].name ? d->flags[i].name : "",
                   d->flags[i].name && d->flags[i].value ? " " : "");
        if (d->flags[i].value)
            deploy_quoted(out, host_value(d, &d->flags[i], room, sizeof room), "%$");
    }
    deploy_put(out, " \\\n    --host 127.0.0.1\n"
                    "Restart=always\nRestartSec=5\nTimeoutStopSec=120\n"
                    "# HF_TOKEN=... in this file opens gated repositories; mode 0600.\n"
                    "EnvironmentFile=-/etc/hotspare/engine.env\n"
                    "Environment=HOME=/var/lib/hotspare-engine HF_HOME=/var/cache/hotspare-engine "
                    "VLLM_CACHE_ROOT=/var/cache/hotspare-engine/vllm "
                    "LLAMA_CACHE=/var/cache/hotspare-engine/llama.cpp VLLM_NO_USAGE_STATS=1\n"
                    "LimitMEMLOCK=infinity\nLimitNOFILE=65536\n");
    deploy_put(out, "%s", hardening);
    devices(d, out);
    deploy_put(out, "\n[Install]\nWantedBy=multi-user.target\n");
}

/* ---- compose ---- */

void deploy_env(const struct deploy *d, struct buf *out)
{
    deploy_put(out,
               "# Read by docker compose beside compose.yaml. No secret belongs in it: HF_TOKEN "
               "comes from the shell.\nMODEL='%s'\n",
               d->model);
}

static void compose_flags(const struct deploy *d, struct buf *out)
{
    for (size_t i = 0; i < d->flag_count; i++) {
        const struct deploy_flag *f = &d->flags[i];
        deploy_put(out, "      # %s\n", f->why);
        if (f->name) {
            deploy_put(out, "      - ");
            deploy_quoted(out, f->name, "$");
            deploy_put(out, "\n");
        }
        if (f->value == d->model && (!f->name || f->name[1] != '-')) /* -m, -hf */
            deploy_put(out, "      - \"${MODEL:?MODEL is not set: it is in the file .env beside "
                            "this one}\"\n");
        else if (f->value) {
            deploy_put(out, "      - ");
            deploy_quoted(out, f->value, "$");
            deploy_put(out, "\n");
        }
    }
    deploy_put(out, "      # reached by the host's loopback only, see ports\n"
                    "      - \"--host\"\n      - \"0.0.0.0\"\n");
}

static void compose_gpu(const struct deploy *d, struct buf *out)
{
    if (!d->plan.d.gpu)
        return;
    if (strcmp(d->plan.d.gpu->vendor, "AMD") == 0) {
        deploy_put(out, "    devices: [\"/dev/kfd\", \"/dev/dri\"]\n"
                        "    group_add: [\"video\", \"render\"]\n");
        return;
    }
    deploy_put(out,
               "    deploy:\n      resources:\n        reservations:\n          devices:\n"
               "            - driver: nvidia\n              count: %u\n"
               "              capabilities: [\"gpu\"]\n",
               d->plan.cards);
}

static void compose_image(const struct deploy *d, struct buf *out)
{
    bool amd = d->plan.d.gpu && strcmp(d->plan.d.gpu->vendor, "AMD") == 0;
    deploy_put(out, "    image: ");
    if (d->image)
        deploy_quoted(out, d->image, "$");
    else if (deploy_is_vllm(d))
        deploy_put(out, "\"vllm/vllm-openai%s:v" DEPLOY_VLLM_VERSION "\"", amd ? "-rocm" : "");
    else
        deploy_put(out, "\"${LLAMA_CPP_IMAGE:?set LLAMA_CPP_IMAGE to a llama.cpp server image with "
                        "a build number in its tag}\"");
    deploy_put(out, " # pinned: flags change between releases\n");
}

void deploy_compose(const struct deploy *d, struct buf *out)
{
    deploy_head(d, out);
    deploy_put(out, "services:\n  engine:\n");
    compose_image(d, out);
    if (deploy_is_vllm(d))
        deploy_put(out, "    entrypoint: [\"vllm\", \"serve\"] # the image's own, said\n");
    deploy_put(out, "    command:\n");
    compose_flags(d, out);
    deploy_put(out, "    environment:\n      - HF_TOKEN # its name only: from the shell, for gated "
                    "repositories\n");
    deploy_put(out, "%s",
               deploy_is_vllm(d) ? "      - HF_HOME=/cache/huggingface\n"
                                   "      - VLLM_CACHE_ROOT=/cache/vllm\n"
                                   "      - VLLM_NO_USAGE_STATS=1 # vLLM reports home by default\n"
                                 : "      - LLAMA_CACHE=/cache/llama.cpp\n");
    deploy_put(out, "    volumes:\n      - cache:/cache # weights and compiled kernels survive\n");
    if (d->file) {
        deploy_put(out, "      - type: bind\n        source: ");
        deploy_quoted(out, d->folder, "$");
        deploy_put(out, "\n        target: ");
        deploy_quoted(out, d->folder, "$");
        deploy_put(out, "\n        read_only: true\n");
    }
    deploy_put(out, "    ports: [\"127.0.0.1:%u:%u\"] # the engine asks nobody for a key\n",
               d->port, d->port);
    compose_gpu(d, out);
    if (deploy_is_vllm(d))
        deploy_put(out, "    shm_size: 16g # tensor parallel ranks talk through /dev/shm\n");
    deploy_put(out,
               "    ulimits: {memlock: -1} # pinned host memory\n"
               "    healthcheck:\n"
               "      test: [\"CMD\", \"curl\", \"-fsS\", \"http://127.0.0.1:%u/health\"]\n"
               "      interval: 10s\n      timeout: 5s\n      retries: 6\n"
               "      start_period: %.0fm # download at 1 Gb/s and 10 minutes to load\n"
               "    restart: unless-stopped\nvolumes:\n  cache: {}\n",
               d->port, deploy_load_minutes(d));
}

/* ---- Hotspare's own: beyond loopback the engine is reached in the cluster, without TLS ---- */

void deploy_config(const struct deploy *d, const char *host, int indent, struct buf *out)
{
    deploy_put(out, "%*stargets:\n%*s  claude: {kind: anthropic, key: env:ANTHROPIC_API_KEY}\n",
               indent, "", indent, "");
    deploy_put(out, "%*s  own: {kind: %s, url: \"http://%s:%u\"%s}\n", indent, "",
               deploy_is_vllm(d) ? "vllm" : "llama.cpp", host ? host : "127.0.0.1", d->port,
               host ? ", plain_http: true" : "");
    deploy_put(out, "%*smodels:\n%*s  - match: \"*\"\n%*s    chain: [claude, ", indent, "", indent,
               "", indent, "");
    char entry[512];
    (void)snprintf(entry, sizeof entry, "own/%s", d->name);
    deploy_quoted(out, entry, "");
    deploy_put(out, "]\n");
}

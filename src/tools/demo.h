#pragma once
/* `hotspare demo`: the main job, shown in under 30 seconds without a key or a network. A stand-in
 * Claude, a stand-in OpenAI and a gateway run as processes of their own; 20 conversations keep
 * streaming through the gateway while the Claude account is disabled, comes back, falls silent and
 * comes back again. Ends with a scorecard computed from the numbered words of every answer. */

/* Exit code: 0 nothing was lost; 1 something was; 2 the demo itself failed; 64 usage; 130 Ctrl-C.
 */
int demo_main(int argc, char **argv);

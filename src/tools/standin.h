#pragma once
/* `hotspare standin`: a provider made for tests and drills. It speaks Anthropic Messages, OpenAI
 * Responses, Chat and completions, answers with numbered words so that loss, repeats and order can
 * be proved, replays recorded exchanges, and commits faults on demand. The only mock in the tree.
 */

int standin_main(int argc, char **argv);

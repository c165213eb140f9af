#pragma once
/* `hotspare drill`: outages on purpose. Each fault of the catalogue is committed by a stand-in lead
 * behind a real gateway, under open-loop load, against a hypothesis and limits that were written
 * down first; the answers' numbered words prove what was lost, repeated or faked. */

/* Exit code: 0 every limit held; 1 one was broken; 2 the drill itself failed; 64 usage; 130 Ctrl-C.
 */
int drill_main(int argc, char **argv);

#pragma once
/* `hotspare connect CLIENT`: the lines that point one client at the gateway. */

/* Prints only: no file is changed, nothing is asked over the network. Exit code: 0; 64 usage,
 * an unknown client, or a URL or model name that cannot stand unquoted in a shell. */
int connect_main(int argc, char **argv);

#pragma once
/* `hotspare connect CLIENT`: the lines that point one client at the gateway, printed, or with
 * --write put into its settings file. `hotspare disconnect`: the file as it was.
 *
 * Both work without a gateway, its configuration or a network: when the gateway is dead, they are
 * the way out. */

/* Exit code: 0; 1 the user said no; 64 usage, an unknown client, or a URL or model name that cannot
 * stand unquoted in a shell; 65 the settings file cannot be read as what it is, or something of its
 * owner's is in the way; 73 it cannot be written. After 65 and 73 the file is as it was, and the
 * lines for it are printed. */
int connect_main(int argc, char **argv);

/* Exit code: 0, also when nothing was connected; 64; 65 our lines are not as they were written, and
 * what to remove by hand is said; 73. */
int disconnect_main(int argc, char **argv);

#pragma once
/* `hotspare config check|show|explain|schema` and `hotspare init`: the configuration, seen from
 * outside. */

int config_main(int argc, char **argv);
int init_main(int argc, char **argv);

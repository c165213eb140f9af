/* What is wrong with a configuration: every mistake is told with its place and a fix, all at once,
 * and no report shows a secret. */
#include "config_kit.h"

struct row {
    const char *what, *text, *problems;
};

static const struct row rows[] = {
    {"an empty file", "",
     "1:1: error: the file is empty // `hotspare init` writes one for this machine\n"},
    {"a file of comments", "# nothing\n",
     "1:1: error: the file is empty // `hotspare init` writes one for this machine\n"},
    {"a file that is no mapping", "- a\n",
     "1:1: error: the file is not a mapping of keys // start with a key, as in \"targets:\"\n"},
    {"a file that is one word", "hello\n",
     "1:1: error: the file is not a mapping of keys // start with a key, as in \"targets:\"\n"},
    {"no targets", "listen: 127.0.0.1:1\n",
     "0:0: error: targets: nobody to answer // add targets: { claude: { kind: anthropic, key: "
     "env:ANTHROPIC_API_KEY } }\n"},
    {"empty targets", "targets: {}\n",
     "1:10: error: targets: nobody to answer // add targets: { claude: { kind: anthropic, key: "
     "env:ANTHROPIC_API_KEY } }\n"},
    {"targets without anything", "targets:\n",
     "1:9: error: targets: nothing where a mapping is wanted // write name: { kind: ... } below, "
     "indented\n"},
    {"broken YAML",
     "targets: {\n"
     "  a: { kind: standin\n",
     "3:1: error: YAML: while parsing a flow mapping: did not find expected ',' or '}' // check "
     "indentation, colons, quotes and brackets here and just above\n"},
    {"a mapping where none can be", T "models: a: b\n",
     "3:10: error: YAML: mapping values are not allowed in this context // check indentation, "
     "colons, quotes and brackets here and just above\n"},
    {"bytes that are no UTF-8", "listen: \377\n",
     "1:9: error: YAML: invalid leading UTF-8 octet // the file must be UTF-8 text without control "
     "characters\n"},
    {"a control character", "listen: \001\n",
     "1:9: error: YAML: control characters are not allowed // the file must be UTF-8 text without "
     "control characters\n"},
    {"a tab that indents",
     "targets:\n"
     "\011a: { kind: vllm }\n",
     "2:1: error: a tab; only blanks separate and indent // put blanks in its place\n"},
    {"a tab between", T "workers:\0111\n",
     "3:9: error: a tab; only blanks separate and indent // put blanks in its place\n"},
    {"a tab in a comment is fine", T "#\011x\n", ""},
    {"an alias",
     T "models:\n"
       "  - match: *x\n"
       "    chain: [ a ]\n",
     "4:12: error: an alias (*x); aliases are not allowed // write the value out; quote a * that "
     "is meant as a letter: \"*\"\n"},
    {"an anchor", T "workers: &n 1\n",
     "3:10: error: an anchor (&n); anchors are not allowed // write the value out where it is "
     "used\n"},
    {"a tag", T "workers: !!int 1\n",
     "3:10: error: a tag (tag:yaml.org,2002:int); tags are not allowed // remove it: a key's type "
     "is known\n"},
    {"a merge key", T "<<: { workers: 1 }\n",
     "3:1: error: <<: unknown key // remove it; known here: listen, admin, tls, admin_tls, "
     "workers, keys, targets, models, deadlines, breaker, hedge, return, use, body_max, "
     "body_memory, "
     "reply_headers, "
     "log_requests, access_log, state_dir\n"},
    {"a directive",
     "%YAML 1.1\n"
     "---\n"
     "targets:\n"
     "  a: { kind: standin, url: http://127.0.0.1:9 }\n",
     "1:1: error: a YAML directive; directives are not allowed // remove the line that starts with "
     "%\n"},
    {"two documents",
     T "---\n"
       "targets:\n"
       "  a: { kind: standin, url: http://127.0.0.1:9 }\n",
     "3:1: error: a second YAML document // keep one document in the file\n"},
    {"a duplicate key",
     T "workers: 1\n"
       "workers: 2\n",
     "4:1: error: workers: a second time; the first is in line 3 // remove one of the two\n"},
    {"a duplicate target", T "  a: { kind: vllm }\n",
     "3:3: error: a: a second time; the first is in line 2 // remove one of the two\n"},
    {"a key that is a list",
     T "? [ x ]\n"
       ": 1\n",
     "3:3: error: this is not a key // write a name, a colon and a blank\n"},
    {"nested too deep", T "models: [[[[[[[[[1]]]]]]]]]\n", "3:16: error: nested too deep\n"},
    {"an unknown key", T "colour: blue\n",
     "3:1: error: colour: unknown key // remove it; known here: listen, admin, tls, admin_tls, "
     "workers, keys, targets, models, deadlines, breaker, hedge, return, use, body_max, "
     "body_memory, "
     "reply_headers, "
     "log_requests, access_log, state_dir\n"},
    {"an unknown key with a neighbour", T "wokers: 1\n",
     "3:1: error: wokers: unknown key; did you mean \"workers\"? // rename it to workers\n"},
    {"swapped letters",
     T "models:\n"
       "  - match: x\n"
       "    chian: [ a ]\n",
     "4:5: error: models[0]: has no chain // add chain: (hotspare config explain "
     "'models[].chain')\n"
     "5:5: error: models[0].chian: unknown key; did you mean \"chain\"? // rename it to chain\n"},
    {"an unknown key of a target",
     "targets:\n"
     "  a: { kind: standin, ulr: http://127.0.0.1:9 }\n",
     "2:14: error: targets.a: kind standin has no URL of its own // add url: http://host:port\n"
     "2:23: error: targets.a.ulr: unknown key; did you mean \"url\"? // rename it to url\n"},
    {"a dotted key", T "deadlines.stall: 5s\n",
     "3:1: error: deadlines.stall: a path, not a key // nest it: deadlines: { stall: ... }\n"},
    {"planned keys", T "shared: x\n",
     "3:1: error: shared: planned, not in this version // remove it\n"},
    {"an engine without a model",
     "targets:\n"
     "  a: { kind: llama.cpp, start: on-demand }\n",
     "2:32: error: targets.a.start: it has no model to load // add model:\n"},
    {"an engine that nobody starts",
     "targets:\n"
     "  a: { kind: llama.cpp, idle: 5m, command: [ x ] }\n",
     "2:31: error: targets.a.idle: nobody starts this engine // add start: on-demand, or remove "
     "it\n"
     "2:44: error: targets.a.command: nobody starts this engine // add start: on-demand, or remove "
     "it\n"},
    {"a provider that is to be started",
     "targets:\n"
     "  a: { kind: openai-compatible, model: m, url: \"http://127.0.0.1:9\", start: always }\n",
     "2:77: error: targets.a.start: only an engine on this machine can be started // use kind: "
     "vllm, llama.cpp, ollama or command\n"},
    {"an engine on another machine",
     "targets:\n"
     "  a: { kind: vllm, model: m, url: \"https://b\", start: always }\n",
     "2:35: error: targets.a.url: only an engine on this machine can be started // write "
     "http://127.0.0.1:PORT, or remove start:\n"},
    {"kind command without one",
     "targets:\n"
     "  a: { kind: command, start: always }\n",
     "2:14: error: targets.a.kind: has no command // add command: [ program, argument, ... ]\n"},
    {"an empty command",
     "targets:\n"
     "  a: { kind: ollama, command: [ ], start: always }\n",
     "2:31: error: targets.a.command: empty // write [ program, argument, ... ]\n"},
    {"a list for a mapping", T "deadlines: [ 1 ]\n",
     "3:12: error: deadlines: a list where a mapping is wanted // write its keys below, indented, "
     "or remove it\n"},
    {"a mapping for a value", T "workers: { a: 1 }\n",
     "3:10: error: workers: a mapping where a single value is wanted // write one value on this "
     "line\n"},
    {"nothing for a section", T "deadlines:\n",
     "3:11: error: deadlines: nothing where a mapping is wanted // write its keys below, indented, "
     "or remove it\n"},
    {"nothing for a value",
     T "workers:\n"
       "listen:\n",
     "3:9: error: workers: not a whole number // write decimal digits without quotes\n"
     "4:8: error: listen: not an address // write host:port, as in 127.0.0.1:8484 or [::1]:8484\n"},
    {"yes is no word of logic", T "reply_headers: yes\n",
     "3:16: error: reply_headers: \"yes\" is not one of its words // write one of: false, true\n"},
    {"True is no word of logic", T "reply_headers: True\n",
     "3:16: error: reply_headers: \"True\" is not one of its words; did you mean \"true\"? // "
     "write one of: false, true\n"},
    {"true in quotes", T "reply_headers: \"true\"\n",
     "3:16: error: reply_headers: true or false in quotes // remove the quotes\n"},
    {"a number in quotes", T "workers: \"1\"\n",
     "3:10: error: workers: a number in quotes // remove the quotes\n"},
    {"hex", T "workers: 0x10\n",
     "3:10: error: workers: not a whole number // write decimal digits without quotes\n"},
    {"an exponent", T "workers: 1e1\n",
     "3:10: error: workers: not a whole number // write decimal digits without quotes\n"},
    {"a fraction", T "workers: 1.0\n",
     "3:10: error: workers: not a whole number // write decimal digits without quotes\n"},
    {"octal", T "workers: 010\n",
     "3:10: error: workers: not a whole number // write decimal digits without quotes\n"},
    {"negative", T "workers: -1\n",
     "3:10: error: workers: not a whole number // write decimal digits without quotes\n"},
    {"out of range", T "workers: 257\n",
     "3:10: error: workers: out of range // write a value from 0 to 256\n"},
    {"a number past 64 bits", T "workers: 99999999999999999999\n",
     "3:10: error: workers: not a whole number // write decimal digits without quotes\n"},
    {"a duration without a unit", T "deadlines: { stall: 5 }\n",
     "3:21: error: deadlines.stall: a duration without a unit // add one of ms, s, m or h: 5s\n"},
    {"a duration with another unit", T "deadlines: { stall: 5d }\n",
     "3:21: error: deadlines.stall: \"d\" is not a unit // the units are ms, s, m or h\n"},
    {"two units in one", T "deadlines: { total: 1m30s }\n",
     "3:21: error: deadlines.total: \"m30s\" is not a unit // the units are ms, s, m or h\n"},
    {"a blank before the unit", T "deadlines: { stall: 5 s }\n",
     "3:21: error: deadlines.stall: \" s\" is not a unit // the units are ms, s, m or h\n"},
    {"a fraction of a second", T "deadlines: { stall: 1.5s }\n",
     "3:21: error: deadlines.stall: \".5s\" is not a unit // the units are ms, s, m or h\n"},
    {"a duration out of range", T "deadlines: { connect: 61s }\n",
     "3:23: error: deadlines.connect: out of range // write a value from 10ms to 1m\n"},
    {"a duration past 64 bits", T "deadlines: { connect: 999999999999999h }\n",
     "3:23: error: deadlines.connect: out of range // write a value from 10ms to 1m\n"},
    {"deadlines that do not fit each other",
     T "deadlines: { first_token: 20s, total: 10s, connect: 11s, stall: 1s }\n",
     "3:27: error: deadlines.first_token: longer than deadlines.total // make it shorter, or "
     "deadlines.total longer\n"
     "3:53: error: deadlines.connect: longer than deadlines.total // make it shorter, or "
     "deadlines.total longer\n"},
    {"a size without a unit", T "body_max: 33554432\n",
     "3:11: error: body_max: a size without a unit // add one of B, KiB, MiB or GiB: 33554432B\n"},
    {"a size of another kind", T "body_max: 32MB\n",
     "3:11: error: body_max: \"MB\" is not a unit // the units are B, KiB, MiB or GiB\n"},
    {"a size out of range", T "body_max: 1GiB\n",
     "3:11: error: body_max: out of range // write a value from 1KiB to 256MiB\n"},
    {"a body larger than all bodies",
     T "body_max: 64MiB\n"
       "body_memory: 32MiB\n",
     "3:11: error: body_max: larger than body_memory // make it smaller, or body_memory larger\n"},
    {"a breaker that closes before it opens", T "breaker: { open: 10m, max_open: 5m }\n",
     "3:18: error: breaker.open: longer than breaker.max_open // make it shorter, or "
     "breaker.max_open longer\n"},
    {"breaker ranges", T "breaker: { failures: 0, ratio_percent: 101 }\n",
     "3:22: error: breaker.failures: out of range // write a value from 1 to 1000\n"
     "3:40: error: breaker.ratio_percent: out of range // write a value from 1 to 100\n"},
    {"a listen address without a port", T "listen: 127.0.0.1\n",
     "3:9: error: listen: not an address // write host:port, as in 127.0.0.1:8484 or [::1]:8484\n"},
    {"a port alone", T "listen: 8484\n",
     "3:9: error: listen: not an address // write host:port, as in 127.0.0.1:8484 or [::1]:8484\n"},
    {"listening to the world without keys",
     T "listen: 0.0.0.0:8484\n"
       "admin: \"[::]:8485\"\n",
     "3:9: error: listen: 0.0.0.0 can be reached from other machines, and there are no client keys "
     "// add keys: { team-a: env:TEAM_A_KEY }, or listen on 127.0.0.1\n"
     "4:8: error: admin: :: can be reached from other machines, and there are no client keys // "
     "add keys: { team-a: env:TEAM_A_KEY }, or listen on 127.0.0.1\n"},
    {"listening by name without keys", T "listen: example.com:8484\n",
     "3:9: error: listen: example.com can be reached from other machines, and there are no client "
     "keys // add keys: { team-a: env:TEAM_A_KEY }, or listen on 127.0.0.1\n"},
    {"the same address twice", T "admin: 127.0.0.1:8484\n",
     "3:8: error: admin: the same address as listen // give it another port\n"},
    {"half of TLS",
     T "tls: { cert: /dev/null }\n"
       "admin_tls: { key: /dev/null }\n",
     "3:14: error: tls: has a cert but no key // add key: and the file of its private key\n"
     "4:19: error: admin_tls: has a key but no cert // add cert: and the file of its "
     "certificate\n"},
    {"a certificate that is not there", T "tls: { cert: /nope/c.pem, key: /nope/k.pem }\n",
     "3:14: error: tls.cert: /nope/c.pem: No such file or directory // check the path and who may "
     "read it\n"
     "3:32: error: tls.key: /nope/k.pem: No such file or directory // check the path and who may "
     "read it\n"},
    {"a name with a slash",
     "targets:\n"
     "  a/b: { kind: standin, url: http://127.0.0.1:9 }\n",
     "2:3: error: targets.a/b: not a name // use letters, digits, '.', '_' and '-', at most 64 of "
     "them\n"},
    {"a target without a kind",
     "targets:\n"
     "  a: { url: http://127.0.0.1:9 }\n",
     "2:3: error: targets.a: has no kind // add kind: (hotspare config explain "
     "'targets.*.kind')\n"},
    {"an unknown kind",
     "targets:\n"
     "  a: { kind: anthropc, url: http://127.0.0.1:9 }\n",
     "2:14: error: targets.a.kind: \"anthropc\" is not one of its words; did you mean "
     "\"anthropic\"? // write one of: anthropic, openai, openai-compatible, vllm, llama.cpp, "
     "ollama, mistral, azure-openai, gemini, bedrock, vertex, standin, command\n"},
    {"Azure without a resource",
     "targets:\n"
     "  a: { kind: azure-openai, key: env:SET }\n",
     "2:14: error: targets.a: kind azure-openai has no URL of its own // add url: "
     "https://RESOURCE.openai.azure.com\n"},
    {"Azure's versions",
     "targets:\n"
     "  a: { kind: azure-openai, url: https://x.openai.azure.com, key: env:SET, api_version: a/b "
     "}\n"
     "  b: { kind: openai, key: env:SET, api_version: 2024-10-21 }\n"
     "  c: { kind: azure-openai, url: https://x/openai/deployments/d, key: env:SET }\n",
     "2:88: error: targets.a.api_version: not a version of Azure's // write a date such as "
     "2024-10-21\n"
     "3:49: error: targets.b.api_version: for kind azure-openai only // remove it\n"
     "4:33: error: targets.c.url: the URL of a deployment needs a version // add api_version: "
     "2024-10-21\n"},
    {"a choice of format where there is none",
     "targets:\n"
     "  a: { kind: azure-openai, url: https://x.openai.azure.com, key: env:SET, api: auto, "
     "api_version: 2024-10-21 }\n"
     "  b: { kind: gemini, key: env:SET, api: responses }\n",
     "2:80: error: targets.a.api: Azure's deployments answer chat only // remove api_version, so "
     "that the v1 endpoint is asked\n"
     "3:41: error: targets.b.api: only OpenAI-style targets have a choice // remove it\n"},
    {"Gemini without a key, and with a header that is not its own",
     "targets:\n"
     "  a: { kind: gemini }\n"
     "  b: { kind: gemini, key: env:SET, auth: x-api-key }\n"
     "  c: { kind: gemini, key: env:SET, region: global }\n",
     "2:14: error: targets.a: has no key, and generativelanguage.googleapis.com wants one // add "
     "key: env:GEMINI_API_KEY\n"
     "3:42: error: targets.b.auth: its key goes in a header of its own, or as bearer // remove it\n"
     "4:14: error: targets.c: Vertex needs a project // add project: my-project\n"},
    {"a cloud without a region",
     "targets:\n"
     "  a: { kind: bedrock, key: env:SET }\n",
     "2:14: error: targets.a: kind bedrock needs a region // add region: us-east-1, or export "
     "AWS_REGION=us-east-1\n"},
    {"a region that is none",
     "targets:\n"
     "  a: { kind: bedrock, key: env:SET, region: us/east }\n",
     "2:45: error: targets.a.region: not the name of a region // write a name such as us-east-1\n"},
    {"an access key alone",
     "targets:\n"
     "  a: { kind: bedrock, region: us-east-1, access_key: env:SET }\n",
     "2:14: error: targets.a: an access key and its secret belong together // add access_key and "
     "secret_key\n"},
    {"both ways to authorise",
     "targets:\n"
     "  a: { kind: bedrock, region: r, key: env:SET, access_key: env:SET, secret_key: env:SET "
     "}\n",
     "2:14: error: targets.a: has an API key and keys that sign; one of them is used // remove "
     "key, or access_key and what belongs to it\n"},
    {"a cloud without a service account",
     "targets:\n"
     "  a: { kind: vertex }\n",
     "2:14: error: targets.a: has no service account // add service_account: "
     "file:/path/key.json\n"},
    {"keys of a cloud at home",
     "targets:\n"
     "  a: { kind: anthropic, key: env:SET, region: us-east-1, secret_key: env:SET }\n",
     "2:3: error: targets.a: access_key, secret_key and session_token are for kind bedrock // "
     "remove them\n"
     "2:3: error: targets.a.region: for kinds bedrock, vertex and gemini only // remove it\n"},
    {"a kind that wants a URL",
     "targets:\n"
     "  a: { kind: openai-compatible }\n",
     "2:14: error: targets.a: kind openai-compatible has no URL of its own // add url: "
     "http://host:port\n"},
    {"a URL that is none",
     "targets:\n"
     "  a: { kind: vllm, url: 10.0.0.5:8000 }\n",
     "2:25: error: targets.a.url: a URL starts with https:// or http:// // write a base URL, as in "
     "https://api.example.com/v1\n"},
    {"a URL with a password",
     "targets:\n"
     "  a: { kind: vllm, url: \"https://u:p@x/\" }\n",
     "2:25: error: targets.a.url: a URL holds no user name or password // write a base URL, as in "
     "https://api.example.com/v1\n"},
    {"http to another machine",
     "targets:\n"
     "  a: { kind: vllm, url: http://10.0.0.5:8000 }\n",
     "2:25: error: targets.a.url: http:// to another machine sends key and conversations in the "
     "clear // write https://, or add plain_http: true if nobody can listen in between\n"},
    {"a target that is this gateway",
     "targets:\n"
     "  a: { kind: standin, url: \"http://localhost:8484\" }\n",
     "2:28: error: targets.a.url: http://localhost:8484 is this gateway itself // give the URL of "
     "the provider or engine\n"},
    {"speaks where it is known",
     "targets:\n"
     "  a: { kind: vllm, speaks: openai }\n",
     "2:28: error: targets.a.speaks: what kind vllm speaks is known // remove it\n"},
    {"speaks another language",
     "targets:\n"
     "  a: { kind: standin, url: http://127.0.0.1:9, speaks: gemini }\n",
     "2:56: error: targets.a.speaks: \"gemini\" is not one of its words // write one of: "
     "anthropic, openai\n"},
    {"auth where it is known",
     "targets:\n"
     "  a: { kind: openai, auth: x-api-key, key: env:SET }\n",
     "2:28: error: targets.a.auth: OpenAI-style targets take Authorization: Bearer only // remove "
     "it\n"},
    {"a provider without a key",
     "targets:\n"
     "  a: { kind: anthropic }\n",
     "2:14: error: targets.a: has no key, and api.anthropic.com wants one // add key: "
     "env:ANTHROPIC_API_KEY\n"},
    {"a key the environment has not",
     "targets:\n"
     "  a: { kind: anthropic, key: env:NOT_SET }\n",
     "2:30: error: targets.a.key: the environment has no NOT_SET // export NOT_SET=...\n"},
    {"a key that is empty",
     "targets:\n"
     "  a: { kind: anthropic, key: env:EMPTY }\n",
     "2:30: error: targets.a.key: the secret is empty // give it a value\n"},
    {"a key with a blank inside",
     "targets:\n"
     "  a: { kind: anthropic, key: env:BLANKS }\n",
     "2:30: error: targets.a.key: the secret holds blanks, control or non-ASCII bytes // a key is "
     "one word of visible ASCII characters\n"},
    {"a key file that is not there",
     "targets:\n"
     "  a: { kind: anthropic, key: file:/nope/key }\n",
     "2:30: error: targets.a.key: /nope/key: No such file or directory // check the path and who "
     "may read it\n"},
    {"a key file that is a directory",
     "targets:\n"
     "  a: { kind: anthropic, key: file:/ }\n",
     "2:30: error: targets.a.key: /: cannot be read // check the path; it must be a file\n"},
    {"a key file that is empty",
     "targets:\n"
     "  a: { kind: anthropic, key: file:/dev/null }\n",
     "2:30: error: targets.a.key: the secret is empty // give it a value\n"},
    {"a credential outside of systemd",
     "targets:\n"
     "  a: { kind: anthropic, key: cred:claude }\n",
     "2:30: error: targets.a.key: there is no $CREDENTIALS_DIRECTORY // add LoadCredential= to the "
     "systemd unit, or use env: or file:\n"},
    {"a credential with a slash",
     "targets:\n"
     "  a: { kind: anthropic, key: cred:a/b }\n",
     "2:30: error: targets.a.key: a credential's id holds no slash // write cred:ID, or "
     "file:/path\n"},
    {"a key of nowhere",
     "targets:\n"
     "  a: { kind: anthropic, key: \"env:\" }\n",
     "2:30: error: targets.a.key: names no source // write env:NAME, file:/path or cred:ID\n"},
    {"a variable",
     "targets:\n"
     "  a: { kind: anthropic, key: $KEY }\n",
     "2:30: error: targets.a.key: variables are not expanded // write env:NAME for a variable\n"},
    {"a client key that is not there", T "keys: { x: env:NOT_SET, y: [ 1 ], 'a b': env:SET }\n",
     "3:12: error: keys.x: the environment has no NOT_SET // export NOT_SET=...\n"
     "3:28: error: keys.y: a list where a single value is wanted // write one value on this line\n"
     "3:35: error: keys.a b: not a name // use letters, digits, '.', '_' and '-', at most 64 of "
     "them\n"},
    {"a CA that is not there",
     "targets:\n"
     "  a: { kind: vllm, ca: /nope/ca.pem }\n",
     "2:24: error: targets.a.ca: /nope/ca.pem: No such file or directory // check the path and who "
     "may read it\n"},
    {"an unknown target in a chain",
     T "models:\n"
       "  - match: x\n"
       "    chain: [ nobody ]\n",
     "5:14: error: models[0].chain[0]: unknown target \"nobody\" // the targets are: a\n"},
    {"... with a neighbour",
     "targets:\n"
     "  claude: { kind: anthropic, key: env:SET }\n"
     "models:\n"
     "  - match: x\n"
     "    chain: [ cluade ]\n",
     "5:14: error: models[0].chain[0]: unknown target \"cluade\"; did you mean \"claude\"? // "
     "write claude\n"},
    {"an empty chain",
     T "models:\n"
       "  - match: x\n"
       "    chain: []\n",
     "5:12: error: models[0].chain: empty // write [ target, target/model ]\n"},
    {"a chain that is a word",
     T "models:\n"
       "  - match: x\n"
       "    chain: a\n",
     "5:12: error: models[0].chain: a single value where a list is wanted // write [ target, "
     "target/model ]\n"},
    {"a chain entry that is a list",
     T "models:\n"
       "  - match: x\n"
       "    chain: [ [ a ] ]\n",
     "5:14: error: models[0].chain[0]: a list where a single value is wanted // write target or "
     "target/model\n"},
    {"a chain entry without a model",
     T "models:\n"
       "  - match: x\n"
       "    chain: [ a/ ]\n",
     "5:14: error: models[0].chain[0]: not a model name // write target or target/model\n"},
    {"the same entry twice",
     T "models:\n"
       "  - match: x\n"
       "    chain: [ a/m, a, a/m ]\n",
     "5:22: error: models[0].chain[2]: a second time in this chain // remove it\n"},
    {"more entries than a chain has",
     T "models:\n"
       "  - match: x\n"
       "    chain: [ a/1, a/2, a/3, a/4, a/5, a/6, a/7, a/8, a/9, a/10, a/11, a/12, a/13, a/14, "
       "a/15, a/16, a/17 ]\n",
     "5:101: error: models[0].chain[16]: more than 16 entries\n"},
    {"the same match twice",
     T "models:\n"
       "  - { match: x, chain: [ a ] }\n"
       "  - { match: x, chain: [ a/m ] }\n",
     "5:14: error: models[1].match: a second time; the first is models[0] // join the two, or "
     "remove one\n"},
    {"rules without anything", T "models: []\n",
     "3:9: error: models: empty // add a rule, or remove the key\n"},
    {"a rule without a match",
     T "models:\n"
       "  - chain: [ a ]\n",
     "4:5: error: models[0]: has no match // add match: (hotspare config explain "
     "'models[].match')\n"},
    {"an empty match",
     T "models:\n"
       "  - { match: '', chain: [ a ] }\n",
     "4:14: error: models[0].match: empty // give it a value, or remove the key\n"},
    {"a line break in a text",
     "targets:\n"
     "  a: { kind: vllm, model: \"a\\nb\" }\n",
     "2:27: error: targets.a.model: holds a control character or is no UTF-8 // remove it; line "
     "breaks count\n"},
    {"a line break, as YAML has them, in a chain's model",
     "targets: { a: { kind: vllm } }\n"
     "models: [ { match: '*', chain: [ \"a/\\x85x\" ] } ]\n",
     "2:34: error: models[0].chain[0]: holds a control character or is no UTF-8 // remove it; line "
     "breaks count\n"},
    {"warnings: a key in the file",
     "targets:\n"
     "  a: { kind: anthropic, key: sk-literal-1 }\n",
     "2:30: warning: targets.a.key: a key written into the file // write env:NAME or file:/path, "
     "and keep the key there\n"},
    {"warnings: a rule never reached",
     T "models:\n"
       "  - { match: '*', chain: [ a ] }\n"
       "  - { match: x, chain: [ a/m ] }\n",
     "5:14: warning: models[1]: never reached, models[0] takes every model // put the rule for "
     "\"*\" last\n"},
    {"warnings: a target in no chain",
     T "  b: { kind: vllm }\n"
       "models:\n"
       "  - { match: x, chain: [ a ] }\n",
     "3:3: warning: targets.b: in no chain // add it to one, or remove it\n"},
    {"warnings: a model name that means nothing",
     "targets:\n"
     "  o: { kind: openai, key: env:SET }\n"
     "models:\n"
     "  - { match: claude-*, chain: [ o ] }\n",
     "4:33: warning: models[0].chain[0]: o will be asked for the client's model name // write "
     "o/MODEL\n"},
    {"a model whose licence forbids the declared use",
     "use: { kind: product, users: 800000000 }\n"
     "targets:\n"
     "  v: { kind: vllm, url: http://127.0.0.1:9, model: meta-llama/Llama-2-13b-chat-hf }\n"
     "  h: { kind: openai-compatible, url: https://api.example.com/v1 }\n"
     "models:\n"
     "  - match: \"*\"\n"
     "    chain: [ v, v/CohereLabs/c4ai-command-a-03-2025, v/Qwen/Qwen3-8B-AWQ, v/my-own,\n"
     "             h/CohereLabs/c4ai-command-a-03-2025 ]\n",
     "7:14: error: models[0].chain[0]: meta-llama/Llama-2-13b-chat-hf: the licence forbids this "
     "use: above 700000000 monthly users this licence does not cover you: ask Meta for a licence "
     "// take another model; hotspare licence meta-llama/Llama-2-13b-chat-hf tells more\n"
     "7:17: error: models[0].chain[1]: CohereLabs/c4ai-command-a-03-2025: the licence forbids this "
     "use: commercial use needs another licence from the owner // take another model; hotspare "
     "licence CohereLabs/c4ai-command-a-03-2025 tells more\n"
     "8:14: warning: models[0].chain[4]: CohereLabs/c4ai-command-a-03-2025: the licence forbids "
     "this use: commercial use needs another licence from the owner // take another model; "
     "hotspare licence CohereLabs/c4ai-command-a-03-2025 tells more\n"},
    {"the same without a declared use",
     "targets:\n"
     "  v: { kind: vllm, url: http://127.0.0.1:9, model: meta-llama/Llama-2-13b-chat-hf }\n",
     ""},
    {"a forbidden model in the default chain",
     "use: { kind: internal }\n"
     "targets:\n"
     "  v: { kind: ollama, url: http://127.0.0.1:9, model: MiniMaxAI/MiniMax-M2.7 }\n",
     "3:3: error: targets.v: MiniMaxAI/MiniMax-M2.7: the licence forbids this use: commercial use "
     "needs another licence from the owner // take another model; hotspare licence "
     "MiniMaxAI/MiniMax-M2.7 tells more\n"},
    {"a use without its kind", "use: { users: 10 }\n" T,
     "1:6: error: use: says for how many or where, and not what for // add kind: research, "
     "internal, product or api-service\n"},
    {"a use that is none", "use: { kind: resarch }\n" T,
     "1:14: error: use.kind: \"resarch\" is not one of its words; did you mean \"research\"? // "
     "write one of: research, internal, product, api-service\n"},
};

static void each_mistake_is_told_with_its_place_and_a_fix(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config_source s = source_of(span_from(rows[i].text), env_set);
        struct loaded l;
        enum err e = load(&l, &s);
        if (!span_is(brief(&l), rows[i].problems))
            fail_msg("%s\nwant %sgot  %.*s", rows[i].what, rows[i].problems, SPAN_FMT(brief(&l)));
        bool bad = strstr(rows[i].problems, "error:") != NULL;
        assert_true(bad == (e != ERR_OK) && bad == (l.config == NULL) &&
                    bad == (l.report.errors > 0));
        unload(&l);
    }
}

static void all_mistakes_come_at_once_in_the_order_of_the_file(void **state)
{
    (void)state;
    static const char text[] = "listen: 127.0.0.1:0\n"
                               "targets:\n"
                               "  a: { kind: anthropc, key: env:NOT_SET_1 }\n"
                               "  b: { kind: openai, kee: env:NOT_SET_2 }\n"
                               "models:\n"
                               "  - match: '*'\n"
                               "    chain: [ a, nobody ]\n"
                               "deadlines: { total: 5 }\n";
    static const char *const want[] = {"3:14", "3:29", "4:14", "4:22", "7:17", "8:21"};
    struct config_source s = source_of(SPAN(text), env_set);
    struct loaded l;
    assert_int_equal(load(&l, &s), ERR_INVALID);
    assert_int_equal(l.report.count, ARRAY_LEN(want));
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        char place[32];
        snprintf(place, sizeof(place), "%d:%d", l.report.at[i].line, l.report.at[i].column);
        assert_string_equal(place, want[i]);
        assert_non_null(l.report.at[i].fix);
    }
    unload(&l);
}

static void a_report_shows_the_line_and_a_caret(void **state)
{
    (void)state;
    struct config_source s = source_of(SPAN("t\xc3\xa4rgets: { \xe4\xb8\xad: { kind: vlm } }\n" T
                                            "keys: { a: my-own-secret, b: env:NOT_SET }\n"
                                            "workers: yes # sk-abc\n"),
                                       env_set);
    struct loaded l;
    assert_int_equal(load(&l, &s), ERR_INVALID);
    buf_reset(&l.text);
    config_report_print(&l.report, &s, &l.text);
    assert_int_equal(buf_add_char(&l.text, '\0'), ERR_OK);
    assert_string_equal(
        l.text.at, "h.yaml:1:1: error: t\xc3\xa4rgets: unknown key; did you mean \"targets\"?\n"
                   "     1 | t\xc3\xa4rgets: { \xe4\xb8\xad: { kind: vlm } }\n"
                   "       | ^\n"
                   "         fix: rename it to targets\n"
                   "h.yaml:4:12: warning: keys.a: a key written into the file\n"
                   "     4 | keys: { a: *************, b: env:NOT_SET }\n"
                   "       |            ^\n"
                   "         fix: write env:NAME or file:/path, and keep the key there\n"
                   "h.yaml:4:30: error: keys.b: the environment has no NOT_SET\n"
                   "     4 | keys: { a: *************, b: env:NOT_SET }\n"
                   "       |                              ^\n"
                   "         fix: export NOT_SET=...\n"
                   "h.yaml:5:10: error: workers: not a whole number\n"
                   "     5 | workers: yes # ******\n"
                   "       |          ^\n"
                   "         fix: write decimal digits without quotes\n");
    unload(&l);
}

static void no_line_of_a_report_shows_a_secret(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "targets:\n  a: { kind: anthropc, key: CANARY-0123456789 }\n",
        "targets:\n  a: { kind: anthropc, \"key\": \"CANARY-0123456789\" }\n",
        "targets:\n  a:\n    kind: vllm\n    kee: CANARY-0123456789\n",
        T "keys: { one: CANARY-0123456789 }\nkeys: { one: CANARY-0123456789 }\n",
        T "keys:\n  one: CANARY-0123456789\n  one: CANARY-0123456789\n",
        T "keys:\n  one: CANARY-0123456789: x\n",
        T "keys:\n  one:\tCANARY-0123456789\n",
        T "keys:\n  one: &a CANARY-0123456789\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct config_source s = source_of(span_from(texts[i]), env_set);
        struct loaded l;
        assert_int_equal(load(&l, &s), ERR_INVALID);
        buf_reset(&l.text);
        config_report_print(&l.report, &s, &l.text);
        if (span_search(buf_span(&l.text), SPAN("CANARY")) >= 0)
            fail_msg("%.*s", SPAN_FMT(buf_span(&l.text)));
        unload(&l);
    }
}

static void a_long_line_is_shown_around_its_caret(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 1 << 20);
    put(&text, T "models: [ { match: x, chain: [ ");
    for (int i = 0; i < 12; i++)
        assert_int_equal(buf_printf(&text, "a/%040d, ", i), ERR_OK);
    put(&text, "nobody ] } ]\n");
    struct config_source s = source_of(buf_span(&text), env_set);
    struct loaded l;
    assert_int_equal(load(&l, &s), ERR_INVALID);
    buf_reset(&l.text);
    config_report_print(&l.report, &s, &l.text);
    struct span rest = buf_span(&l.text), first, line, caret = SPAN_EMPTY;
    assert_true(span_next(&rest, '\n', &first) && span_next(&rest, '\n', &line) &&
                span_next(&rest, '\n', &caret));
    assert_true(line.len < 160);
    assert_int_equal(span_search(line, SPAN("nobody")), span_find(caret, '^'));
    buf_deinit(&text);
    unload(&l);
}

static void floods_are_bounded(void **state)
{
    (void)state;
    struct buf text;
    struct loaded l;
    buf_init(&text, 1 << 22);
    for (int i = 0; i < 3000; i++)
        assert_int_equal(buf_printf(&text, "k%d: 1\n", i), ERR_OK);
    struct config_source s = source_of(buf_span(&text), env_set);
    assert_int_equal(load(&l, &s), ERR_INVALID);
    assert_int_equal(l.report.count, 200);
    assert_int_equal(l.report.errors, 3001);
    unload(&l);
    put(&text, "x: [ 1");
    for (int i = 0; i < 9000; i++)
        put(&text, ",1");
    s.text = buf_span(&text);
    assert_int_equal(load(&l, &s), ERR_INVALID);
    assert_true(span_search(brief(&l), SPAN("more than 8192 values")) >= 0);
    unload(&l);
    while (text.len <= 1 << 20)
        put(&text, "# a comment that makes the file too large, line by line by line by line\n");
    s.text = buf_span(&text);
    assert_int_equal(load(&l, &s), ERR_INVALID);
    assert_true(span_is(brief(&l), "0:0: error: the file is larger than 1 MiB\n"));
    unload(&l);
    buf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_mistake_is_told_with_its_place_and_a_fix),
        cmocka_unit_test(all_mistakes_come_at_once_in_the_order_of_the_file),
        cmocka_unit_test(a_report_shows_the_line_and_a_caret),
        cmocka_unit_test(no_line_of_a_report_shows_a_secret),
        cmocka_unit_test(a_long_line_is_shown_around_its_caret),
        cmocka_unit_test(floods_are_bounded),
    };
    return cmocka_run_group_tests_name("config_mistakes", tests, NULL, NULL);
}

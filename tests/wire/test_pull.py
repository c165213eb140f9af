#!/usr/bin/env python3
"""hotspare pull against a hub on the loopback: licence, choice of files, resuming, checksums, refusals, names, the token.

The hub lists files and redirects weights to a store on another port, as hubs do: another origin."""
import hashlib
import http.server
import os
import resource
import ssl
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import *  # noqa: E402,F403
from harness import BIN  # noqa: E402

COMMIT = "c0ffee" + "0" * 34
TOKEN = "hf_neverToBeSeenElsewhere"
BIG = bytes(i * 7 % 251 for i in range(600_000))


def blob(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """One origin. `seen` keeps (path, headers); `answer(handler)` is the test's."""
    daemon_threads = True

    def __init__(self, answer, cert=None):
        self.seen, self.answer, self.scheme = [], answer, "https" if cert else "http"
        super().__init__(("127.0.0.1", 0), Handler)
        if cert:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(cert + ".pem", cert + ".key")
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        pass  # a client that went away on purpose


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.seen.append((self.path, dict(self.headers.items())))
        self.server.answer(self)

    def say(self, status, body=b"", **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), str(value))
        if "Content_Length" not in fields:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Hub:
    """A hub with one model, and its store."""

    def __init__(self, files, licence="apache-2.0", large=(".gguf", ".safetensors"), sums=True, certs=(None, None)):
        self.files, self.licence, self.large, self.sums = dict(files), licence, large, sums
        self.cut_after = []  # for each answer of the store: bytes until the connection is cut
        self.refuse, self.list_extra, self.etag, self.ranges = {}, [], None, True
        self.root = tempfile.mkdtemp()
        self.hub, self.store = Server(self._hub, certs[0]), Server(self._store, certs[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in (self.hub, self.store):
            server.shutdown()
            server.server_close()
        shutil.rmtree(self.root)

    def listing(self):
        out = []
        for name, data in self.files.items():
            entry = {"rfilename": name, "size": len(data), "blobId": blob(data) if self.sums else None}
            if name.endswith(self.large) and self.sums:
                entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
            out.append(entry)
        return {"id": "acme/tiny", "sha": COMMIT, "cardData": {"license": self.licence}, "siblings": out + self.list_extra}

    def _hub(self, h):
        for part, (status, fields) in self.refuse.items():
            if part in h.path:
                return h.say(status, **fields)
        if h.path.startswith("/api/"):
            return h.say(200, json.dumps(self.listing()).encode())
        name = urllib.parse.unquote(h.path.split(COMMIT + "/")[1])
        if name.endswith(self.large):
            sum_ = hashlib.sha256(self.files[name]).hexdigest()
            return h.say(302, Location=self.store.url + h.path + "?Signature=abc", X_Linked_Etag=f'"{sum_}"')
        return self._give(h, self.files[name], None)

    def _store(self, h):
        data = self.files[urllib.parse.unquote(h.path.split(COMMIT + "/")[1].split("?")[0])]
        return self._give(h, data, self.cut_after.pop(0) if self.cut_after else None)

    def _give(self, h, data, cut):
        etag = self.etag or f'"{hashlib.md5(data).hexdigest()}"'
        start, status, more = 0, 200, {}
        wanted = h.headers.get("Range")
        if wanted and self.ranges and h.headers.get("If-Range") in (None, etag):
            start, status = int(wanted[6:-1]), 206
            more = {"Content_Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        body = data[start:]
        h.say(status, body if cut is None else body[:cut], Content_Length=len(body), ETag=etag, **more)
        if cut is not None:
            h.wfile.flush()
            h.connection.shutdown(socket.SHUT_RDWR)
            h.close_connection = True

    def pull(self, *argv, model="acme/tiny", env=None, into="m", **how):
        e = {"PATH": os.environ["PATH"], "HOME": self.root, "HF_ENDPOINT": self.hub.url, **(env or {})}
        e.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS") or k == "ASAN_SYMBOLIZER_PATH"})
        where = ["--dir", self.path(into)] if into else []
        p = subprocess.run([BIN, "pull", model, *where, *argv], env=e, capture_output=True, text=True, timeout=120, **how)
        expect_true("Sanitizer" not in p.stderr and "runtime error" not in p.stderr, p.stderr)
        expect_true(TOKEN not in p.stdout + p.stderr, "the token is told")
        return p

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def read(self, *parts):
        with open(self.path("m", *parts), "rb") as f:
            return f.read()

    def there(self, folder="m"):
        root = self.path(folder)
        return sorted(os.path.relpath(os.path.join(d, f), root) for d, _, names in os.walk(root) for f in names)


GGUFS = {"tiny-Q4_K_M.gguf": BIG, "tiny-Q4_K.gguf": BIG[1:], "tiny-Q8_0-00001-of-00002.gguf": b"one", "tiny-Q8_0-00002-of-00002.gguf": b"two",
         "mmproj-tiny-Q8_0.gguf": b"eyes", "LICENSE": b"Apache, as it is written", "README.md": b"read me"}
TENSORS = {"config.json": b"{}", "tokenizer.json": b"{ }", "model-00001-of-00002.safetensors": BIG, "model-00002-of-00002.safetensors": BIG[:77],
           "model.safetensors.index.json": b"{  }", "consolidated.safetensors": b"again", "pytorch_model.bin": b"pickled", "modeling_tiny.py": b"code",
           "LICENSE.txt": b"text", "original/params.json": b"{   }"}


def good(p, files=None):
    expect(p.returncode, 0, p.stderr)
    return p


with Hub(GGUFS) as hub:
    with claim("a_gguf_is_picked_by_level_verified_and_named_for_a_target"):
        p = good(hub.pull(model="acme/tiny:q4_k_m"))
        expect(hub.there(), ["LICENSE", "hotspare-pull.json", "tiny-Q4_K_M.gguf"])
        expect(hub.read("tiny-Q4_K_M.gguf"), BIG)
        expect(p.stdout.splitlines()[0], hub.path("m", "tiny-Q4_K_M.gguf"))
        expect_true("kind: llama.cpp" in p.stderr and COMMIT in p.stderr, p.stderr)
        expect_true(p.stderr.index("licence of acme/tiny: Apache License 2.0") < p.stderr.index("1/2 tiny-Q4_K_M.gguf"), "licence first")
        document = json.loads(hub.read("hotspare-pull.json"))
        expect((document["commit"], document["files"][0]["sha256"]), (COMMIT, hashlib.sha256(BIG).hexdigest()))
        expect_true(all(f"/resolve/{COMMIT}/" in path for path, _ in hub.store.seen), "the revision is pinned")
    with claim("what_is_there_and_right_is_not_loaded_again_and_what_is_wrong_not_overwritten"):
        before = len(hub.store.seen)
        expect_true("is there and right" in good(hub.pull(model="acme/tiny:Q4_K_M")).stderr, "found")
        expect(len(hub.store.seen), before, "asks of the store")
        with open(hub.path("m", "tiny-Q4_K_M.gguf"), "r+b") as f:
            f.write(b"mine")
        expect(hub.pull(model="acme/tiny:Q4_K_M").returncode, 65)
        expect(hub.read("tiny-Q4_K_M.gguf")[:4], b"mine")
        good(hub.pull("--replace", model="acme/tiny:Q4_K_M"))
        expect(hub.read("tiny-Q4_K_M.gguf"), BIG)
    with claim("all_parts_of_a_split_gguf_come_and_its_projector_does_not"):
        good(hub.pull(model="acme/tiny:Q8_0", into="split"))
        expect(hub.there("split"), ["LICENSE", "hotspare-pull.json", "tiny-Q8_0-00001-of-00002.gguf", "tiny-Q8_0-00002-of-00002.gguf"])
    with claim("without_a_level_or_with_an_unknown_one_the_levels_are_listed"):
        for model in ("acme/tiny", "acme/tiny:Q2_K"):
            p = hub.pull(model=model, into="none")
            expect(p.returncode, 64)
            expect_true("tiny-Q4_K_M.gguf (600 kB)" in p.stderr, p.stderr)
        expect(os.path.exists(hub.path("none")), False, "a folder")
    with claim("a_dry_run_writes_nothing"):
        p = good(hub.pull("--dry-run", "--json", model="acme/tiny:Q4_K_M", into="dry"))
        expect([f["name"] for f in json.loads(p.stdout)["files"]], ["tiny-Q4_K_M.gguf", "LICENSE"])
        expect(os.path.exists(hub.path("dry")), False)
    with claim("without_dir_the_files_go_to_the_users_data_folder"):
        good(hub.pull("--file", "LICENSE", into=None))
        expect(os.path.exists(hub.path(".local/share/hotspare/models/acme/tiny/LICENSE")), True)

with Hub(TENSORS) as hub:
    with claim("a_safetensors_model_comes_once_without_pickles_and_code"):
        good(hub.pull())
        expect(hub.there(), sorted(["LICENSE.txt", "config.json", "hotspare-pull.json", "model-00001-of-00002.safetensors",
                                    "model-00002-of-00002.safetensors", "model.safetensors.index.json", "tokenizer.json"]))
        expect(hub.read("model-00001-of-00002.safetensors"), BIG)
    with claim("a_file_in_a_folder_comes_by_name"):
        good(hub.pull("--file", "original/params.json", into="named"))
        expect(hub.there("named"), ["hotspare-pull.json", "original/params.json"])
    with claim("a_symbolic_link_does_not_lead_out_of_the_folder"):
        os.makedirs(hub.path("linked"))
        os.makedirs(hub.path("outside"))
        os.symlink(hub.path("outside"), hub.path("linked", "original"))
        expect(hub.pull("--file", "original/params.json", into="linked").returncode, 74)
        expect(hub.there("outside"), [])

with Hub(GGUFS) as hub:
    with claim("a_cut_is_gone_on_from_in_the_same_run"):
        hub.cut_after = [200_000, 100_000]
        good(hub.pull(model="acme/tiny:Q4_K_M"))
        expect(hub.read("tiny-Q4_K_M.gguf"), BIG)
        ranges = [h.get("Range") for _, h in hub.store.seen]
        expect(ranges, [None, "bytes=200000-", "bytes=300000-"])
        expect_true(all(h.get("If-Range") for _, h in hub.store.seen[1:]), "If-Range")
    with claim("a_run_that_gave_up_is_gone_on_with_by_the_next"):
        hub.cut_after = [123_456]
        state = {"answered": 0}
        give = hub._hub

        def once(h):
            if "/resolve/" in h.path and "gguf" in h.path:
                state["answered"] += 1
                if state["answered"] > 1:
                    return h.say(403)
            return give(h)
        hub.hub.answer = once
        expect(hub.pull(model="acme/tiny:Q4_K_M", into="two").returncode, 77)
        expect(os.path.getsize(hub.path("two", "tiny-Q4_K_M.gguf.part")), 123_456)
        hub.hub.answer, hub.store.seen[:] = give, []
        p = good(hub.pull(model="acme/tiny:Q4_K_M", into="two"))
        expect_true("goes on from 123 kB" in p.stderr, p.stderr)
        expect([h.get("Range") for _, h in hub.store.seen], ["bytes=123456-"])
        expect(hub.there("two"), ["LICENSE", "hotspare-pull.json", "tiny-Q4_K_M.gguf"])
    with claim("a_file_that_changed_at_the_server_comes_whole_by_its_etag"):
        hub.cut_after, hub.store.seen[:] = [50_000], []
        hub.hub.answer = lambda h: (setattr(hub, "etag", '"new"' if hub.store.seen else None), give(h))[1]
        good(hub.pull(model="acme/tiny:Q4_K_M", into="etag"))
        with open(hub.path("etag", "tiny-Q4_K_M.gguf"), "rb") as f:
            expect(f.read(), BIG)
        expect(len(hub.store.seen), 2, "answers")
        hub.hub.answer, hub.etag = give, None
    with claim("a_part_of_another_content_is_not_gone_on_with"):
        os.makedirs(hub.path("old"))
        with open(hub.path("old", "tiny-Q4_K_M.gguf.part"), "wb") as f:
            f.write(b"x" * 1000)
        hub.store.seen[:] = []
        good(hub.pull(model="acme/tiny:Q4_K_M", into="old"))
        expect(hub.store.seen[0][1].get("Range"), None)
    with claim("a_server_without_ranges_is_survived"):
        hub.ranges, hub.cut_after = False, [70_000]
        good(hub.pull(model="acme/tiny:Q4_K_M", into="plain"))
        hub.ranges = True
    with claim("ctrl_c_keeps_the_part_and_says_how_to_go_on"):
        reached, go = threading.Event(), threading.Event()

        def slowly(h):
            h.send_response(200)
            h.send_header("Content-Length", str(len(BIG)))
            h.end_headers()
            h.wfile.write(BIG[:90_000])
            h.wfile.flush()
            reached.set()
            go.wait(60)
        usual, hub.store.answer = hub.store.answer, slowly
        p = subprocess.Popen([BIN, "pull", "acme/tiny:Q4_K_M", "--dir", hub.path("stop")], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
                             env={**os.environ, "HF_ENDPOINT": hub.hub.url})
        expect_true(reached.wait(60), "the store was asked")
        part, end = hub.path("stop", "tiny-Q4_K_M.gguf.part"), time.monotonic() + 60
        while not (os.path.exists(part) and os.path.getsize(part) == 90_000) and time.monotonic() < end:
            time.sleep(0.01)
        p.send_signal(signal.SIGINT)
        said = p.communicate(timeout=60)[1]
        go.set()
        hub.store.answer = usual
        expect((p.returncode, os.path.getsize(part)), (130, 90_000), said)
        expect_true("the same command goes on" in said, said)
        expect_true("goes on from 90" in good(hub.pull(model="acme/tiny:Q4_K_M", into="stop")).stderr, "gone on")
    with claim("a_full_disk_keeps_what_came"):
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # noqa: E731
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        p = hub.pull(model="acme/tiny:Q4_K_M", into="full", preexec_fn=limit, restore_signals=False)
        expect(p.returncode, 74, p.stderr)
        expect(os.path.getsize(hub.path("full", "tiny-Q4_K_M.gguf.part")), 100_000)
        good(hub.pull(model="acme/tiny:Q4_K_M", into="full"))

with Hub(GGUFS) as hub:
    with claim("a_wrong_checksum_is_told_and_nothing_of_it_stays"):
        right = hub.listing()
        hub.files["tiny-Q4_K_M.gguf"] = BIG[:-1] + b"!"
        hub.listing = lambda: right
        p = hub.pull(model="acme/tiny:Q4_K_M")
        expect(p.returncode, 65)
        expect_true("its checksum is" in p.stderr, p.stderr)
        expect(hub.there(), [])
    with claim("gits_name_verifies_small_files"):
        hub.files["LICENSE"] = b"Apache, as it is WRITTEN"
        expect(hub.pull("--file", "LICENSE").returncode, 65)
        hub.files["LICENSE"] = GGUFS["LICENSE"]
        good(hub.pull("--file", "LICENSE"))

with Hub(GGUFS, sums=False) as hub:
    with claim("without_the_lists_sums_the_redirects_word_counts"):
        good(hub.pull("--file", "tiny-Q4_K_M.gguf"))
        real, hub.store.answer = hub.store.answer, lambda h: h.say(200, b"?" + BIG[1:])
        expect(hub.pull("--file", "tiny-Q4_K_M.gguf", into="wrong").returncode, 65)
        hub.store.answer = real
    with claim("without_any_sum_one_must_be_given_and_holds"):
        p = hub.pull("--file", "LICENSE", into="none")
        expect((p.returncode, "--sha256" in p.stderr), (65, True), p.stderr)
        good(hub.pull("--file", "LICENSE", "--sha256", hashlib.sha256(GGUFS["LICENSE"]).hexdigest(), into="given"))
        expect(hub.pull("--file", "LICENSE", "--sha256", "0" * 64, into="other").returncode, 65)

with Hub(GGUFS) as hub:
    with claim("the_token_goes_to_the_hub_and_not_to_its_store"):
        good(hub.pull(model="acme/tiny:Q4_K_M", env={"HF_TOKEN": TOKEN}))
        expect({h.get("Authorization") for _, h in hub.hub.seen}, {"Bearer " + TOKEN})
        expect(({h.get("Authorization") for _, h in hub.store.seen}, len(hub.store.seen)), ({None}, 1))
        expect_true(TOKEN not in hub.read("hotspare-pull.json").decode(), "kept")
    with claim("a_proxy_in_the_environment_is_not_used_and_that_is_said"):
        p = good(hub.pull("--file", "LICENSE", into="proxy", env={"HTTPS_PROXY": "http://user:secretword@127.0.0.1:1"}))
        expect(("HTTPS_PROXY is set" in p.stderr, "secretword" in p.stderr), (True, False), p.stderr)
    with claim("the_token_is_not_sent_unencrypted_to_another_machine"):
        p = hub.pull(env={"HF_TOKEN": TOKEN, "HF_ENDPOINT": "http://192.0.2.1"})
        expect((p.returncode, "unencrypted" in p.stderr), (64, True), p.stderr)
    with claim("refusals_say_what_to_do"):
        for status, fields, env, code, words_ in (
                (401, {}, {}, 77, "set HF_TOKEN"), (401, {}, {"HF_TOKEN": TOKEN}, 77, "does not take HF_TOKEN"),
                (403, {"X_Error_Code": "GatedRepo"}, {"HF_TOKEN": TOKEN}, 77, "accept its conditions at " + hub.hub.url + "/acme/tiny"),
                (404, {}, {}, 69, "names are exact"), (404, {"X_Error_Code": "RevisionNotFound"}, {}, 69, "no revision main")):
            hub.refuse = {"/api/": (status, fields)}
            p = hub.pull(env=env, into="no")
            expect((p.returncode, words_ in p.stderr), (code, True), p.stderr)
            hub.refuse = {"/resolve/": (status, fields)}
            expect(hub.pull(model="acme/tiny:Q4_K_M", env=env, into="no").returncode, code)
        hub.refuse = {}
    with claim("a_hub_that_is_down_for_a_moment_is_asked_again"):
        give, state = hub.hub.answer, {"n": 0}

        def shaky(h):
            state["n"] += 1
            return h.say(503) if state["n"] == 1 else give(h)
        hub.hub.answer = shaky
        good(hub.pull("--file", "LICENSE", into="shaky"))
        hub.hub.answer = give
    with claim("too_little_room_is_told_before_anything_is_loaded"):
        usual = hub.listing()
        usual["siblings"][0]["size"] = 1 << 49
        hub.listing, before = lambda: usual, len(hub.store.seen)
        p = hub.pull(model="acme/tiny:Q4_K_M", into="room")
        expect((p.returncode, "563 TB" in p.stderr, len(hub.store.seen)), (74, True, before), p.stderr)
        del hub.listing
    with claim("names_that_leave_the_folder_are_refused_with_the_whole_list"):
        for name in ("../x.gguf", "/etc/x.gguf", "a/../../x.gguf", "a//x.gguf", "..", "a\\x.gguf", "a\nx.gguf", "", "a/", "/".join("abcdefghij")):
            hub.list_extra = [{"rfilename": name, "size": 1, "blobId": blob(b"x")}]
            p = hub.pull("--file", "LICENSE", into="bad")
            expect((p.returncode, "leave its folder" in p.stderr), (69, True), repr(name) + p.stderr)
        hub.list_extra = []
    with claim("answers_that_are_no_list_are_told"):
        for body in (b"", b"<html>", b"[]", b"{}", b'{"sha":"x","siblings":[]}', b'{"sha":"%s","siblings":[1]}' % COMMIT.encode(),
                     b'{"sha":"%s","siblings":[{"rfilename":"a.gguf","size":-1}]}' % COMMIT.encode(),
                     b'{"sha":"%s","siblings":[{"rfilename":"a.gguf","size":1,"lfs":{"sha256":"zz"}}]}' % COMMIT.encode()):
            give, hub.hub.answer = hub.hub.answer, lambda h, b=body: h.say(200, b)
            expect(hub.pull(into="bad").returncode, 69, repr(body))
            hub.hub.answer = give
    with claim("a_redirect_that_never_ends_is_left"):
        give, hub.hub.answer = hub.hub.answer, lambda h: h.say(302, Location="/again")
        p = hub.pull(into="bad")
        expect((p.returncode, "redirects for ever" in p.stderr), (69, True), p.stderr)
        hub.hub.answer = give
    with claim("bad_words_on_the_command_line_are_named"):
        for argv in (["nothing-of-the-kind"], ["a/b/c"], ["../x"], ["acme/tiny:"], ["acme/tiny", "--revision", "../x"], ["acme/tiny", "--sha256", "1"],
                     ["acme/tiny", "--use", "fun"], [], ["a/b", "c/d"]):
            p = subprocess.run([BIN, "pull", *argv], env={"HF_ENDPOINT": hub.hub.url, "HOME": hub.root}, capture_output=True, text=True, timeout=60)
            expect((p.returncode, p.stderr != ""), (64, True), f"{argv} {p.stderr}")

with Hub(GGUFS, licence="cc-by-nc-4.0") as hub:
    with claim("a_licence_that_forbids_the_use_is_refused_before_weights_come"):
        p = hub.pull("--use", "product", model="acme/tiny:Q4_K_M")
        expect((p.returncode, len(hub.store.seen)), (1, 0), p.stderr)
        expect_true("CC BY-NC 4.0 (the hub's card says so)" in p.stderr and "--accept-licence" in p.stderr, p.stderr)
        good(hub.pull("--use", "research", model="acme/tiny:Q4_K_M"))
        good(hub.pull("--use", "product", "--accept-licence", model="acme/tiny:Q4_K_M", into="accepted"))
    with claim("a_licence_our_table_knows_is_judged_before_the_network_is_asked"):
        before = len(hub.hub.seen)
        p = hub.pull("--use", "product", "--users", "800000000", model="Llama-2-13b-chat-hf")
        expect((p.returncode, len(hub.hub.seen)), (1, before), p.stderr)

CERTS = tempfile.mkdtemp(prefix="hotspare-pull-tls-")
for name in ("ca", "stranger"):
    make_ca(CERTS, name)
make_cert(CERTS, "ca", "good", "IP:127.0.0.1")
make_cert(CERTS, "ca", "elsewhere", "DNS:elsewhere.example")
make_cert(CERTS, "ca", "expired", "IP:127.0.0.1", days="-1")
SECURE = {"SSL_CERT_FILE": os.path.join(CERTS, "ca.pem"), "HF_TOKEN": TOKEN}


def cert(name):
    return name and os.path.join(CERTS, name)


with Hub(GGUFS, certs=(cert("good"), cert("good"))) as hub:
    with claim("over_tls_it_comes_and_is_gone_on_with_and_the_token_stays_with_the_hub"):
        hub.cut_after = [200_000]
        good(hub.pull(model="acme/tiny:Q4_K_M", env=SECURE))
        expect(hub.read("tiny-Q4_K_M.gguf"), BIG)
        expect({h.get("Authorization") for _, h in hub.hub.seen}, {"Bearer " + TOKEN})
        expect([(h.get("Authorization"), h.get("Range")) for _, h in hub.store.seen], [(None, None), (None, "bytes=200000-")])

for why, serves, trusts, words_ in (("a_stranger_signed", "good", "stranger", "certificate"), ("is_for_another_name", "elsewhere", "ca", "mismatch"),
                                    ("has_run_out", "expired", "ca", "expired")):
    with Hub(GGUFS, certs=(cert(serves), None)) as hub, claim(f"a_certificate_that_{why}_ends_it_before_the_token_is_told"):
        p = hub.pull(model="acme/tiny:Q4_K_M", env=dict(SECURE, SSL_CERT_FILE=os.path.join(CERTS, trusts + ".pem")))
        expect((p.returncode, words_ in p.stderr), (69, True), p.stderr)
        expect((os.path.exists(hub.path("m")), hub.hub.seen), (False, []), "a folder, or a request")

with Hub(GGUFS, certs=(cert("good"), cert("elsewhere"))) as hub, claim("a_store_whose_certificate_is_for_another_name_gets_no_request"):
    p = hub.pull(model="acme/tiny:Q4_K_M", env=SECURE)
    expect((p.returncode, "mismatch" in p.stderr, hub.store.seen), (69, True, []), p.stderr)
    expect(hub.there(), [], "files")

with Hub(GGUFS, certs=(cert("good"), None)) as hub:
    with claim("a_redirect_from_https_to_http_is_refused"):
        p = hub.pull(model="acme/tiny:Q4_K_M", env=SECURE)
        expect((p.returncode, "redirects from https to http" in p.stderr, hub.store.seen), (69, True, []), p.stderr)
        expect(hub.there(), [], "files")

with Hub(GGUFS, certs=(cert("good"), None)) as hub, claim("a_hub_that_is_plain_where_https_was_said_is_told"):
    p = hub.pull(model="acme/tiny:Q4_K_M", env=dict(SECURE, HF_ENDPOINT=hub.store.url.replace("http:", "https:")))
    expect((p.returncode, "TLS" in p.stderr or "SSL" in p.stderr, os.path.exists(hub.path("m"))), (69, True, False), p.stderr)
shutil.rmtree(CERTS)

finish()

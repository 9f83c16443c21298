#!/bin/sh
# A workspace that begins as a repository somewhere in the network: what git
# serves by its own protocol and over HTTP.
# shellcheck disable=SC2016 # $ is for the program that serves
. tests/lib.sh

mkdir "$tmp/src" "$tmp/www"
(
	cd "$tmp/src" && git init -qb main && git config user.name T &&
		git config user.email t@e && echo one >a && git add a &&
		git commit -qm first && git tag old && mkdir -p d/e &&
		head -c 3000000 /dev/urandom >d/e/large && ln -s d/e l &&
		printf '#!/bin/sh\n' >run && chmod 755 run && git add . &&
		git commit -qm second
) || exit 1
git clone -q --bare "$tmp/src" "$tmp/www/repo.git"

# serve PROGRAM - python that prints the port it listens on, and serves.
serve() {
	rm -f "$tmp/port"
	python3 -c "$1" "$tmp/www" >"$tmp/port" 2>"$tmp/served" &
	at_exit "end_child $!"
	until_true 10 test -s "$tmp/port"
	port=$(cat "$tmp/port")
}

serve_http='
import http.server, os, subprocess, sys
class H(http.server.BaseHTTPRequestHandler):
    def answer(self):
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        env = dict(os.environ, GIT_PROJECT_ROOT=sys.argv[1], PATH_INFO=path,
                   GIT_HTTP_EXPORT_ALL="1", REQUEST_METHOD=self.command,
                   QUERY_STRING=query, CONTENT_LENGTH=str(len(body)),
                   CONTENT_TYPE=self.headers.get("Content-Type", ""))
        out = subprocess.run(["git", "http-backend"], input=body, env=env,
                             stdout=subprocess.PIPE).stdout
        head, _, rest = out.partition(b"\r\n\r\n")
        fields = dict(l.split(": ", 1) for l in head.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for k, v in fields.items():
            self.send_header(k, v)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest)
    do_GET = do_POST = answer
s = http.server.HTTPServer(("127.0.0.1", 0), H)
print(s.server_port, flush=True)
s.serve_forever()'

serve_git='
import socket, subprocess, sys
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
while True:
    c, _ = s.accept()
    subprocess.run(["git", "daemon", "--inetd", "--export-all",
                    "--base-path=" + sys.argv[1]], stdin=c, stdout=c)
    c.close()'

# same_as REV - $VM begins with the files of that commit.
same_as() {
	mkdir "$tmp/got" && hib files export --tar - "$VM" | tar -xC "$tmp/got" &&
		git -C "$tmp/src" --work-tree="$tmp/got" diff --stat --exit-code "$1"
	_same=$?
	rm -rf "$tmp/got"
	return $_same
}
comes_from() {
	VM=$(hib vm create --no-boot --workspace "$1") && same_as main &&
		VM=$(hib vm create --no-boot --workspace "$1#old") && same_as old
}
folders_are() {
	equal "$(find "$HIB_HOME/vms" -mindepth 1 -maxdepth 1 | wc -l)" "$1"
}
is_refused() {
	_vms=$(hib vm list --json | jq length)
	refused "$2" "$3" hib vm create --workspace "$1" &&
		equal "$(hib vm list --json | jq length)" "$_vms" &&
		until_true 5 folders_are "$_vms"
}

serve "$serve_http"
ok "over HTTP" comes_from "http://127.0.0.1:$port/repo.git"
ok "a repository that is not there is refused" is_refused \
	"http://127.0.0.1:$port/none.git" invalid_argument 5
ok "so is a commit" is_refused "http://127.0.0.1:$port/repo.git#none" \
	snapshot_not_found 6
serve "$serve_git"
ok "by git's protocol" comes_from "git://127.0.0.1:$port/repo.git"

# --- one that does not answer -------------------------------------------------------

serve '
import socket, sys
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
kept = []
while True:
    kept.append(s.accept())
    print("came", file=sys.stderr, flush=True)'
still_stops() {
	hib vm create --workspace "git://127.0.0.1:$port/repo.git" \
		>"$tmp/x" 2>&1 &
	_creating=$!
	_hibd=$(hibd_pid)
	until_true 10 grep -q came "$tmp/served"
	_came=$?
	stop "$_creating"
	hib daemon stop && not alive "$_hibd" && equal "$_came" 0 &&
		hib daemon start
}
ok "hibd can be stopped while it waits for a server" still_stops
done_testing

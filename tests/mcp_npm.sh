# shellcheck shell=sh disable=SC2154 # variables are of the test files
# mcp_npm.sh - Official test tools of MCP, from npm, each at one version
#
# Sourced after lib.sh.
#
# NPM_CACHE_DIR  where the packages stay between runs (default: $O/npm)

npm_dir=${NPM_CACHE_DIR:-$O/npm}/mcp
node_min=22 # The suites use fs.globSync.

# folder_of PACKAGE - @scope/name@version is in name-version.
folder_of() {
	echo "$npm_dir/$(basename "$1" | tr @ -)"
}

install_package() {
	_folder=$(folder_of "$1")
	[ ! -e "$_folder/done" ] || return 0
	if [ ! -w "$npm_dir" ]; then
		echo "$npm_dir is not ours" >"$tmp/npm.log"
		return 1
	fi
	rm -rf "$_folder" && mkdir -p "$_folder" &&
		echo '{"private":true}' >"$_folder/package.json" &&
		(cd "$_folder" && timeout 300 npm install --no-audit \
			--no-fund --loglevel=error "$1") >"$tmp/npm.log" 2>&1 &&
		touch "$_folder/done"
}

# need_packages PACKAGE... - install what is missing, and a node that is new
# enough; without them nothing of the file can run.
need_packages() {
	if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
		skip_all "node and npm are not here"
	fi
	[ "$(node -p 'process.versions.node.split(".")[0]')" -ge $node_min ] ||
		set -- "$@" node@22.23.3
	if mkdir -p "$npm_dir" 2>/dev/null && [ -w "$npm_dir" ]; then
		exec 9>"$npm_dir/lock"
		timeout 600 flock 9
	fi
	for _package in "$@"; do
		install_package "$_package" || skip_all \
			"$_package cannot be installed: $(tail -n 1 "$tmp/npm.log")"
	done
	exec 9>&-
	[ "$_package" != node@22.23.3 ] ||
		PATH=$(folder_of "$_package")/node_modules/.bin:$PATH
}

# suite VERSION ARG... - the conformance suite.
suite() {
	_suite=$(folder_of "conformance@$1")
	shift
	timeout $((60 * slow)) node \
		"$_suite/node_modules/@modelcontextprotocol/conformance/dist/index.js" \
		"$@" -o "$tmp/results"
}

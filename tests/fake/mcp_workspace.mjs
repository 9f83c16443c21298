// SPDX-License-Identifier: Apache-2.0
//
// mcp_workspace.mjs - The same calls to two servers of files
//
//	mcp_workspace.mjs npm SERVER.js ROOT >FILE	over stdio
//	mcp_workspace.mjs hib SOCKET SESSION >FILE	the builtin, through hibd
//	mcp_workspace.mjs compare NPM-FILE HIB-FILE	where the answers differ
//
// A file has a line for each call, its answer as JSON, in which the root is
// called /workspace; before them one with the tools.  `compare` knows where the
// builtin is meant to differ, and why: the table `differences`.

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { dirname } from "node:path";
import { createInterface } from "node:readline";

// --- the calls --------------------------------------------------------------

const calls = [];
const call = (tool, args) => calls.push({ tool, args });
const R = "/workspace";

call("list_allowed_directories", {});

// Which file is meant: plain, absolute, odd, outside, by links.
const paths = ["lines.txt", `${R}/lines.txt`, `/${R}//lines.txt`, "./lines.txt",
	"nonl.txt", "crlf.txt", "zero", "uni é.txt", "fence.md", "sub", "", R,
	`${R}/`, "missing", "no/such", "lines.txt/x", "link", "dirlink/a.c",
	"dangling", "out", "up/x", "absolute", "loop", "../x", "..",
	"/etc/passwd", "/", `${R}/../etc/passwd`, `${R}x/y`,
	"sub/../lines.txt", "sub/deep/../../lines.txt", "sub/../../x",
	"dirlink/../lines.txt", "~", "~/x", "C:\\x", "C:/x", "a\0b",
	"%2e%2e/x", "..\\x", "....//x", "sub/./a.c", "x".repeat(300),
	"proc", "procfd/0"];
for (const tool of ["read_text_file", "read_file"])
	for (const path of paths)
		call(tool, { path });
for (const path of paths) {
	call("list_directory", { path });
	call("get_file_info", { path });
}
for (const path of ["../w", "/etc/w", "out", "out/w", "up/w", "dangling",
	"dangling/w", "loop", "~/w", "sub/../../w", "a\0b", "proc/w",
	"lines.txt/w"]) {
	call("write_file", { path, content: "x" });
	call("edit_file", { path, edits: [{ oldText: "a", newText: "b" }] });
	call("create_directory", { path });
	call("move_file", { source: path, destination: "stolen" });
	call("move_file", { source: "zero", destination: path });
	call("read_media_file", { path });
	call("directory_tree", { path });
	call("search_files", { path, pattern: "**" });
}

// Parts of files.
for (const n of [1, 2, 3, 5, 6, 10, -1])
	for (const path of ["lines.txt", "nonl.txt", "crlf.txt", "zero", "seq.txt"]) {
		call("read_text_file", { path, head: n });
		call("read_text_file", { path, tail: n });
	}
call("read_text_file", { path: "lines.txt", head: 1, tail: 1 });
call("read_text_file", { path: "lines.txt", head: 0, tail: 2 });
for (const path of ["sub", "missing"]) {
	call("read_text_file", { path, head: 1 });
	call("read_text_file", { path, tail: 1 });
}
for (const path of ["pic.png", "snd.MP3", "data.bin", "uni é.txt", "sub",
	"missing", ".dot", "sp ace/f"])
	call("read_media_file", { path });
call("read_multiple_files", { paths: ["lines.txt", "missing", "sub", "zero",
	"../x", "link"] });

// Folders.
for (const path of [".", "sub", "sub/deep", "empty", "missing", "lines.txt",
	"dirlink"]) {
	call("list_directory", { path });
	call("list_directory_with_sizes", { path });
	call("list_directory_with_sizes", { path, sortBy: "size" });
	call("directory_tree", { path });
}
call("directory_tree", { path: ".", excludePatterns: ["deep"] });
call("directory_tree", { path: ".",
	excludePatterns: ["*.txt", "sub/a.c", "**/b.*"] });
call("directory_tree", { path: `${R}/sub`, excludePatterns: ["er"] });
for (const pattern of ["*.txt", "**/*.c", "**", "sub/**", "*", "lines.txt",
	"**/deep/**", "{a,B}", "[a-b]*", "!*.txt", "#x", "?", "**/*e*",
	"sub/*/b.c", ".*"])
	call("search_files", { path: ".", pattern });
call("search_files", { path: ".", pattern: "**/*",
	excludePatterns: ["sub", "*.txt"] });
call("search_files", { path: "sub", pattern: "**/*.c" });
call("search_files", { path: "lines.txt", pattern: "*" });

// Changes, and what comes of them.
const read = (path) => call("read_text_file", { path });
const edit = (path, edits, dryRun) => {
	call("edit_file", { path, dryRun,
		edits: edits.map(([oldText, newText]) => ({ oldText, newText })) });
	read(path);
};
for (const path of ["new/a/b", "new/a/b", "lines.txt", "."])
	call("create_directory", { path });
call("write_file", { path: "no/such/w", content: "x" });
edit("no/such/w", [["a", "b"]]);
for (const [path, content] of [["w1", "hello\n"], ["w1", "again é"],
	["link", "through"], ["nul", "a\0b"], ["code.c", "int x;\n"]]) {
	call("write_file", { path, content });
	read(path);
}
read("lines.txt");
call("write_file", { path: "lines.txt", content: "one\ntwo\nthree\nfour\nfive\n" });
edit("lines.txt", [["two", "TWO"]], true);
edit("lines.txt", [["two", "TWO"], ["TWO\nthree", "2\n3\n3b"]]);
edit("indent.c", [["foo();\nbar();", "baz();\n  qux();\nend();"]]);
edit("indent.c", [["if (x) {\n  baz();", "if (y) {\n    baz2();\n\tz"]]);
edit("nonl.txt", [["newline", "nl\nmore"]]);
edit("crlf.txt", [["b\r\n", "B\r\n"]]);
edit("zero", [["", "ins"]]);
edit("lines.txt", [["nope", "x"]]);
edit("lines.txt", [["four", "4"], ["nope\nmulti", "x"]]);
edit("lines.txt", []);
edit("fence.md", [["fence", "f````g"]], true);
edit("seq.txt", [["\n100\n", "\nhundred\n"], ["\n108\n", "\nx\ny\n"],
	["\n130\n", "\n"]]);
edit("lines.txt", [["one", "$& $1"]]);
edit("uni é.txt", [["é", "e"]]);
for (const [source, destination] of [["w1", "w2"], ["w2", "lines.txt"],
	["missing", "q"], ["w2", "no/such"], ["sub", "sub2"],
	["w2", "sub2/w3"], ["link", "moved"]])
	call("move_file", { source, destination });
call("directory_tree", { path: "." });

// --- where the builtin is meant to differ -----------------------------------

const both = (npm, hib) => (a, b) => npm.test(a) && hib.test(b);
const denied = /^Access denied - symlink target outside/;
const differences = [
	// The target of a link that leads out is nobody's business; the path
	// that was asked for is shown.
	["a link out", both(denied, denied)],
	// Nothing is followed to find out that what it leads to is no folder.
	["below a link out", both(/^(ENOTDIR|EACCES|ENOENT)/, denied)],
	// Beneath the root the kernel takes no absolute link, wherever it leads.
	["an absolute link", (a, b, c) => denied.test(b) &&
		/absolute/.test(JSON.stringify(c.args))],
	// Of a link that leads out the size is not told, nor counted.
	["sizes of links", (a, b, c) => c.tool === "list_directory_with_sizes" &&
		sizeless(a) === sizeless(b)],
	// An absolute link is not listed by search.
	["absolute links in a search", (a, b, c) => c.tool === "search_files" &&
		a.split("\n").filter((l) => !l.endsWith("/absolute")).join("\n") === b],
	// Home is that of whoever runs the server.
	["home", both(/^Access denied - path outside.*: \//,
		/^Access denied - path outside.*: \/home\/user/)],
	// What follows a NUL is not shown.
	["NUL", (a, b, c) => JSON.stringify(c.args).includes("\\u0000") &&
		both(/^Access denied - path/, /^Access denied - path/)(a, b)],
];

function sizeless(text) {
	return text.split("\n").filter((l) => !/ (out|up|absolute|proc|procfd) /.test(l) &&
		!l.startsWith("Combined size")).sort().join("\n");
}

// --- asking -----------------------------------------------------------------

async function askNpm(server, root) {
	const p = spawn(process.execPath, [server, root],
		{ stdio: ["pipe", "pipe", "ignore"] });
	const open = new Map();
	let last = 0;
	createInterface({ input: p.stdout }).on("line", (line) => {
		const m = JSON.parse(line);
		open.get(m.id)?.(m);
	});
	const send = (m) => p.stdin.write(JSON.stringify({ jsonrpc: "2.0", ...m }) + "\n");
	const ask = (method, params) => new Promise((resolve) => {
		open.set(++last, resolve);
		send({ id: last, method, params });
	});
	const inside = (v) => JSON.parse(JSON.stringify(v).replaceAll(R, root));
	// The root and what is above it, as if it were ours.
	const outside = (v) => JSON.parse(JSON.stringify(v).replaceAll(root, R)
		.replaceAll(dirname(root) + "/", "/").replaceAll(dirname(root), "/"));

	await ask("initialize", { protocolVersion: "2025-06-18", capabilities: {},
		clientInfo: { name: "test", version: "1" } });
	send({ method: "notifications/initialized" });
	say((await ask("tools/list", {})).result.tools);
	for (const c of calls) {
		const m = await ask("tools/call",
			{ name: c.tool, arguments: inside(c.args) });
		say(outside(m.result ?? m.error));
	}
	p.stdin.end();
}

function post(socketPath, method, path, body) {
	return new Promise((resolve, reject) => {
		const q = request({ socketPath, path, method }, (r) => {
			let text = "";
			r.on("data", (d) => (text += d)).on("end", () => resolve(JSON.parse(text)));
		}).on("error", reject);
		q.end(body);
	});
}

async function askHib(socket, session) {
	const path = `/v1/sessions/${session}/mcp/workspace`;

	say((await post(socket, "GET", `${path}/tools`)).tools);
	for (const c of calls)
		say(await post(socket, "POST", `${path}/call`,
			JSON.stringify({ tool: c.tool, arguments: c.args })));
}

const say = (v) => console.log(JSON.stringify(v));

// --- comparing --------------------------------------------------------------

const sorted = (v) => JSON.stringify(v, (k, x) =>
	x && typeof x === "object" && !Array.isArray(x) ?
		Object.fromEntries(Object.entries(x).sort()) : x);
// Times are not the same twice, but for the one that was set; how large a folder
// is, is a matter of its file system.
const timeless = (s) => s.replace(
	/(created|accessed|modified): (?!Thu Jan 02 2020)[^\\\n]*/g, "$1: T")
	.replace(/size: \d+(.*isDirectory: true)/g, "size: N$1");
const textOf = (r) => r.content?.[0]?.text ?? "";

function compareTools(npm, hib) {
	const bad = [];

	for (const t of npm) {
		delete t.execution; // Of tasks, an experiment that is over.
		if (sorted(t) !== sorted(hib.find((u) => u.name === t.name)))
			bad.push(`tool ${t.name}`);
	}
	return bad;
}

function compare(npmFile, hibFile) {
	const [npm, hib] = [npmFile, hibFile].map((f) =>
		readFileSync(f, "utf8").trimEnd().split("\n").map((l) => JSON.parse(l)));
	const bad = compareTools(npm.shift(), hib.shift());
	const used = new Set();

	if (npm.length !== calls.length || hib.length !== calls.length)
		bad.push(`${npm.length} and ${hib.length} answers, ${calls.length} calls`);
	calls.forEach((c, i) => {
		const a = timeless(sorted(npm[i])), b = timeless(sorted(hib[i]));
		const known = a !== b && differences.find(([, f]) =>
			f(textOf(npm[i]), textOf(hib[i]), c));

		if (known)
			used.add(known[0]);
		else if (a !== b)
			bad.push(`${JSON.stringify(c)}\n  npm ${a}\n  hib ${b}`);
	});
	for (const [name] of differences)
		if (!used.has(name))
			bad.push(`nothing differs by '${name}'`);
	console.log(`${calls.length} calls, ${bad.length} differ`);
	bad.slice(0, 20).forEach((line) => console.log(line.slice(0, 2000)));
	process.exitCode = bad.length > 0 ? 1 : 0;
}

const [what, a, b] = process.argv.slice(2);
await { npm: askNpm, hib: askHib, compare }[what](a, b);

#!/bin/sh
# The program that compares file systems by random operations is right itself:
# two plain folders never differ for it, and each planted bug is found.
#
# FILES_LONG  set: 20 seeds instead of 2
. tests/lib.sh

fsops=$O/tests/fake/fsops
at_exit "chmod -R u+rwx $tmp"

fresh() {
	chmod -R u+rwx "$tmp/a" "$tmp/b" 2>/dev/null
	rm -rf "$tmp/a" "$tmp/b" && mkdir "$tmp/a" "$tmp/b"
}

both() {
	timeout 300 "$fsops" run "$@" "$tmp/a" "$tmp/b"
}

seeds=2
[ -z "${FILES_LONG:-}" ] || seeds=20
for seed in $(seq "$seeds"); do
	fresh
	ok "two plain folders are equal, seed $seed" both --seed "$seed" \
		--ops 10000
done
ok "a run goes on where another one ended" both --seed 99 --ops 2000

for bug in append truncate tail rename link chmod unlink mmap excl readdir \
	time open; do
	fresh
	ok "a file system that does $bug wrongly is found out" exits 1 both \
		--seed 5 --ops 10000 --bug "$bug"
done

# --- whole trees ----------------------------------------------------------------

fresh
mkdir "$tmp/a/d" && printf 'one' >"$tmp/a/d/f" && ln "$tmp/a/d/f" "$tmp/a/g" &&
	ln -s d/f "$tmp/a/l" && touch -d @1000 "$tmp/a/d/f"

differs() {
	rm -rf "$tmp/b" && cp -a "$tmp/a" "$tmp/b" && (cd "$tmp/b" && eval "$1") &&
		exits 1 "$fsops" compare "$tmp/a" "$tmp/b"
}
same() {
	rm -rf "$tmp/b" && cp -a "$tmp/a" "$tmp/b" && (cd "$tmp/b" && eval "$1") &&
		shift && "$fsops" compare "$@" "$tmp/a" "$tmp/b"
}

ok "a copy is the same tree" same :
ok "other contents are seen" differs 'printf two >d/f; touch -d @1000 d/f'
ok "another size is seen" differs 'printf ones >d/f; touch -d @1000 d/f'
ok "another mode is seen" differs 'chmod 600 g'
ok "... unless that is asked for" same 'chmod 600 g' --no-modes
ok "a missing file is seen" differs 'rm l'
ok "a file too much is seen" differs 'touch new'
ok "another target is seen" differs 'ln -sfn d l'
ok "another type is seen" differs 'rm l; mkdir l'
ok "a link that is a copy is seen" differs 'cp -p g h; mv h g'
ok "... unless that is asked for" same 'cp -p g h; mv h g' --no-links
ok "another time is seen" differs 'touch -d @2000 g'
ok "... unless that is asked for" same 'touch -d @2000 g' --no-times
ok "a tree that is not there is no equal tree" exits 66 "$fsops" compare \
	"$tmp/a" "$tmp/none"

digests() {
	rm -rf "$tmp/b" && cp -a "$tmp/a" "$tmp/b" && (cd "$tmp/b" && eval "$1") &&
		"$fsops" digest "$tmp/a" >"$tmp/x" &&
		"$fsops" digest "$tmp/b" >"$tmp/y" && [ "$(wc -l <"$tmp/x")" -eq 4 ] &&
		cmp "$tmp/x" "$tmp/y"
}
ok "the digest of a copy is the same" digests 'cp g h; mv h g'
ok "the digest of a changed tree is another" exits 1 digests 'printf two >g'

done_testing

#!/bin/sh
# Images: made from Debian's packages, listed, booted by sandboxes, removed.
#
#   IMAGE_CACHE_DIR   where what was made stays between runs (default: $O/images)
# shellcheck disable=SC2016,SC2119 # $ is for jq and for the shell in the VM
. tests/lib.sh

cache=${IMAGE_CACHE_DIR:-$O/images}

# --- names --------------------------------------------------------------------------

none_there() {
	equal "$(hib image list --json | jq -c .)" '[]' ||
		hib image list --json | jq -e 'all(.path | startswith($ENV.HIB_HOME) |
			not)'
}
ok "a new home has no image of its own" none_there
no_such() {
	vms=$(hib vm list --json | jq length)
	for image in none ../x Upper 'a/b'; do
		refused invalid_argument 5 hib vm create --image "$image" || return 1
	done
	refused invalid_argument 5 hib vm create --image /nowhere &&
		refused invalid_argument 5 hib image inspect none &&
		refused invalid_argument 5 hib image rm none &&
		equal "$(hib vm list --json | jq length)" "$vms"
}
ok "what is no image is refused, and no VM is made" no_such
bad_build() {
	not hib image build no-such-recipe 2>"$tmp/err" &&
		grep -q 'no recipe' "$tmp/err" &&
		not hib image build --kernel none small &&
		refused '' 5 hib image build ../x
}

# --- a real one ---------------------------------------------------------------------

missing=
for program in mmdebstrap mkfs.erofs cpio lz4 depmod; do
	command -v "$program" >/dev/null || missing="$missing $program"
done
if [ "$(id -u)" -ne 0 ]; then
	skip "an image is made and booted" "only root makes images"
	done_testing
	exit
elif [ -n "$missing" ]; then
	skip "an image is made and booted" "missing:$missing; make images installs them"
	done_testing
	exit
fi

mkdir -p "$cache" "$HIB_HOME/images"
chmod 755 "$cache"
mount --bind "$cache" "$HIB_HOME/images"
at_exit 'umount "$HIB_HOME/images"'
if ! PATIENCE=400 hib image build small 2>"$tmp/built"; then
	if grep -qE 'cannot be fetched|there is no package|[Ff]ailed to fetch|resolving' "$tmp/built"; then
		cat "$tmp/built"
		skip "an image is made and booted" "Debian's mirror is not there"
		done_testing
		exit
	fi
	cat "$tmp/built" >&2
fi
ok "a recipe that is not there is refused" bad_build
is_there() {
	hib image list --json | jq -e '.[] | select(.name == "small") |
		.packages > 50 and .size > 10000000 and (.kernel | startswith("6.1"))' &&
		hib image list | grep -q '^small '
}
ok "an image is made from Debian's packages" is_there
is_what_it_says() {
	hib image inspect small >"$tmp/manifest" &&
		dir=$(jq -r .path "$tmp/manifest") &&
		equal "$(sha256sum "$dir/kernel" | cut -d' ' -f1)" \
			"$(jq -r .kernel.sha256 "$tmp/manifest")" &&
		equal "$(sha256sum "$dir/rootfs.erofs" | cut -d' ' -f1)" \
			"$(jq -r .rootfs.sha256 "$tmp/manifest")" &&
		jq -e '.packages.bash and .packages.git' "$tmp/manifest" &&
		equal "$(head -c 4 "$dir/kernel" | tail -c 3)" ELF &&
		cpio -t --quiet <"$dir/modules.cpio" | grep -q 'modules/virtio_blk.ko' &&
		not test -s "$dir/rootfs/etc/machine-id" &&
		not test -s "$dir/rootfs/etc/hostname"
}
ok "its manifest tells what it is made of" is_what_it_says
again() {
	hib image build small 2>"$tmp/err" && grep -q 'is there' "$tmp/err"
}
ok "what is there is not made again" again
boots() {
	VM=$(hib vm create --image small) && new_session &&
		in_vm "$SES" '. /etc/os-release && echo $VERSION_CODENAME &&
			git --version && ! command -v gcc' >"$tmp/said" &&
		grep -q bookworm "$tmp/said" && grep -q 'git version' "$tmp/said" &&
		in_vm "$SES" 'LC_ALL=C touch /usr/x 2>&1; true' |
		grep -q 'Read-only file system' &&
		hib vm sleep "$VM" && says "$SES" '!say awake' awake &&
		hib vm get "$VM" --json | jq -e '.image == "small"'
}
ok "a sandbox boots it, and cannot change it" boots
in_use() {
	refused already_exists 7 hib image rm small && hib vm destroy --force "$VM"
}
ok "one that a VM boots from is not removed" in_use
removed() {
	cp -al "$cache/small" "$cache/copy" && hib image rm copy &&
		not test -e "$cache/copy" && hib image inspect small
}
ok "it can be removed" removed

done_testing

# shellcheck shell=sh disable=SC2034,SC2154 # shared with lib.sh
# machine.sh - For tests whose VMs are virtual machines; to be read after lib.sh
#
#   IMAGE_CACHE_DIR   where images are made (default: $O/images)
#   MACHINES          few: leave out what takes long and says little more of one
#                     user than of another

# need_image WHAT IMAGE [long] - let the daemon see the images, and make IMAGE if it is
# not there; where it cannot be made or booted, skip WHAT, and the rest.  The
# image small has Debian's kernel, small-tiny the small one.
need_image() {
	cache=${IMAGE_CACHE_DIR:-$O/images}
	[ "${MACHINES:-all}" != few ] || [ $# -eq 2 ] ||
		no_machine "$1" 'it takes long, and MACHINES is few'
	for program in qemu-system-x86_64 mkfs.erofs mkfs.ext4; do
		PATH=$PATH:/usr/sbin command -v "$program" >/dev/null ||
			no_machine "$1" "$program is not there"
	done
	mkdir -p "$HIB_HOME" && ln -s "$cache" "$HIB_HOME/images"
	[ -e "$cache/$2/manifest.json" ] || make_image "$1" "$2"
	PATIENCE=120
}
no_machine() {
	skip "$1" "$2"
	done_testing
	exit
}
make_image() {
	[ "$(id -u)" -eq 0 ] ||
		no_machine "$1" 'only root makes images, and there is none'
	kernel=debian
	[ "$2" = small ] || kernel=tiny
	mkdir -p "$cache"
	PATIENCE=1200 hib image build --kernel "$kernel" --name "$2" small \
		2>"$tmp/built" && return
	cat "$tmp/built"
	no_machine "$1" 'no image can be made'
}

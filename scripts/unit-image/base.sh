# Read by scripts/image: Debian's arm64 packages as a tree of files, made once and kept; a build takes a copy of it by hard links.
# Needs from it: say, fail, cache, build, and register_on_host with its variables of arm64/emulator.sh.

BASE_PACKAGES=(
  # A system that starts, knows the time and has a network.
  systemd-sysv udev dbus systemd-timesyncd systemd-resolved kmod iproute2 linux-image-arm64 initramfs-tools zstd tzdata ca-certificates
  wpasupplicant firmware-brcm80211 wireless-regdb
  # What the edge process loads.
  'libopencv-core406' libopencv-imgproc406 libopencv-imgcodecs406 libopencv-videoio406 libopencv-objdetect406 libgphoto2-6
  # Slots, their updates, the data partition.
  rauc rauc-service e2fsprogs dosfstools util-linux fdisk cryptsetup-bin libtss2-esys-3.0.2-0 libtss2-mu0 libtss2-rc0 libtss2-tcti-device0
)
# What the Raspberry Pi needs before Linux; taken from the packages, which are not installed: their scripts would write into /boot.
BOOT_PACKAGES=(u-boot-rpi u-boot-qemu raspi-firmware)
# Modules of the initrd. Without a list, mkinitramfs would take every one there is, emulated: a quarter of an hour and 30 MB.
# The card of a Raspberry Pi 4 is sdhci_iproc's, which waits for its two supplies: without the drivers of these there is no root. bcm2835: a Pi 3's card.
INITRD_MODULES=(virtio_blk virtio_pci virtio_mmio ext4 mmc_block bcm2835 sdhci_iproc fixed gpio-regulator vfat)

base_key() {
  printf '%s\n' "$BASE_SUITE" "${BASE_PACKAGES[@]}" "${BOOT_PACKAGES[@]}" "${INITRD_MODULES[@]}" | cat - "$checkout/scripts/unit-image/base.sh" |
    sha256sum | cut -c 1-16
}

base_sources() {
  local components='main non-free-firmware' suite
  for suite in "debian $BASE_SUITE" "debian $BASE_SUITE-updates" "debian-security $BASE_SUITE-security"; do
    printf 'deb http://deb.debian.org/%s %s\n' "$suite" "$components"
  done
}

# Sets `base`: the folder of the tree.
build_base() {
  local key new="$build/base.new" log="$build/base.log" started=$SECONDS hooks pid lines shown=0
  base="$build/base"
  key="$(base_key)"
  if [ "$(cat "$build/base.key" 2>/dev/null || true)" = "$key" ]; then return 0; fi
  say "Debian's packages for arm64: fetching 300 MB, and setting them up emulated; six to ten minutes (log: ${log#"$checkout"/})"
  rm -rf "$new" "$base" "$build/base.key" "$build/boot-packages"
  hooks="$build/hooks"
  mkdir -p "$hooks" "$build/boot-packages"
  # Before the kernel's package is set up, which makes the initrd: twice, if it were let.
  cat >"$hooks/before" <<HOOK
#!/bin/sh
set -e
mkdir -p "\$1/etc/initramfs-tools/conf.d"
printf 'MODULES=list\nCOMPRESS=zstd\nFSTYPE=ext4\nRESUME=none\n' >"\$1/etc/initramfs-tools/conf.d/candor"
printf '%s\n' ${INITRD_MODULES[*]} >"\$1/etc/initramfs-tools/modules"
printf 'update_initramfs=no\n' >"\$1/etc/initramfs-tools/update-initramfs.conf"
mkdir -p "\$1/etc/dpkg/dpkg.cfg.d"
printf 'path-exclude=/usr/share/%s/*\n' doc man locale info lintian bug >"\$1/etc/dpkg/dpkg.cfg.d/candor"
printf 'force-confold\n' >>"\$1/etc/dpkg/dpkg.cfg.d/candor"
HOOK
  cat >"$hooks/after" <<HOOK
#!/bin/sh
set -e
release="\$(ls "\$1/lib/modules")"
printf 'update_initramfs=yes\n' >"\$1/etc/initramfs-tools/update-initramfs.conf"
chroot "\$1" mkinitramfs -o "/boot/initrd.img-\$release" "\$release"
cd "$build/boot-packages"
APT_CONFIG="\$MMDEBSTRAP_APT_CONFIG" apt-get download ${BOOT_PACKAGES[*]}
HOOK
  chmod 755 "$hooks"/*
  base_sources >"$build/sources.list"
  mmdebstrap --mode=root --variant=minbase --architectures=arm64 --format=directory --skip=cleanup/reproducible \
    --include="$(IFS=, && printf '%s' "${BASE_PACKAGES[*]}")" --aptopt='Acquire::Retries "3"' --aptopt='APT::Install-Recommends "false"' \
    --essential-hook="$hooks/before" --customize-hook="$hooks/after" "$BASE_SUITE" "$new" "$build/sources.list" </dev/null >"$log" 2>&1 9>&- &
  running=$!
  while kill -0 "$running" 2>/dev/null; do
    sleep 2
    lines="$(grep -c -E '^(Unpacking|Setting up)' "$log" || true)"
    if [ $((lines / 100)) -ne "$shown" ]; then
      shown=$((lines / 100))
      printf '    %s steps of about 1,000, %s s\n' "$lines" $((SECONDS - started)) >&2
    fi
  done
  wait "$running" || { tail -n 25 "$log" >&2; fail "Debian's packages cannot be set up" "the whole log: $log"; }
  running=''
  mv "$new" "$base"
  printf '%s' "$key" >"$build/base.key"
  say "Debian's packages: $(du -sm "$base" | cut -f 1) MB, $((SECONDS - started)) s"
}

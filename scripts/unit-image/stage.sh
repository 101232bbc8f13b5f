# Read by scripts/image: the tree of one root: Debian's packages, Candor, units and settings; then as an ext4 file.
# Needs from it: say, fail, checkout, build, base, packages, work, version, floor, compatible, hil, keys.

# Units that an image starts by itself.
IMAGE_UNITS=(
  candor-edge.service candor-provision.service candor-network.service candor-confirm.service candor-update.path candor-machine-id.service
  var.mount tmp.mount systemd-networkd.service systemd-resolved.service systemd-timesyncd.service
)
# Nobody logs in to a unit, and nothing on it is to be installed by hand.
MASKED_UNITS=(
  getty.target getty@.service serial-getty@.service console-getty.service container-getty@.service autovt@.service systemd-logind.service
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer
  systemd-repart.service systemd-firstboot.service systemd-machine-id-commit.service systemd-networkd-wait-online.service rauc-mark-good.service
  wpa_supplicant.service
)
# Of the kernel's modules: no camera has these, and they are half of the size.
LEFT_OUT_MODULES=(sound drivers/gpu drivers/infiniband drivers/isdn drivers/iio drivers/scsi drivers/ata drivers/nvme drivers/staging drivers/net/can
  drivers/net/ethernet/{mellanox,chelsio,qlogic,broadcom/bnx2x,cavium,hisilicon,marvell,intel,amd,sfc,netronome,pensando,huawei,cisco,emulex}
  drivers/net/wireless/{ath,intel,marvell,mediatek,realtek,ralink,rsi,st,ti,microchip,silabs,quantenna,purelifi,atmel,intersil}
  drivers/media/{dvb-frontends,tuners,pci,radio,test-drivers} drivers/mtd net/bluetooth drivers/bluetooth fs/{xfs,btrfs,ocfs2,gfs2,ceph,nfs,nfsd,cifs,ksmbd,jfs,f2fs,ubifs,afs,dlm})

make_stage() {
  stage="$work/stage"
  local name release started=$SECONDS
  say 'the root: Debian, Candor, units'
  rm -rf "$stage"
  # Hard links: what is changed below must be removed first, never written into.
  cp -al "$base" "$stage"
  node --import tsx scripts/unit-image/contents.ts "$packages" "$stage" ${hil:+--hil} || fail 'Candor cannot be copied into the root' 'see above'
  release="$(ls "$stage/lib/modules")"
  mv "$stage/boot/vmlinuz-$release" "$stage/boot/vmlinuz"
  mv "$stage/boot/initrd.img-$release" "$stage/boot/initrd"
  find "$stage/boot" -mindepth 1 ! -name vmlinuz ! -name initrd -delete
  # A camera without hardware, which the test image keeps.
  [ -z "$hil" ] || cp -al "$stage/lib/modules/$release/kernel/drivers/media/test-drivers/vivid" "$work/vivid"
  for name in "${LEFT_OUT_MODULES[@]}"; do rm -rf "$stage/lib/modules/$release/kernel/$name"; done
  [ -z "$hil" ] || mv "$work/vivid" "$stage/lib/modules/$release/kernel/drivers/media/"
  rm -f "$stage/lib/modules/$release"/modules.{dep,alias,symbols,softdep,devname}* "$stage/lib/modules/$release"/modules.builtin*.bin
  depmod -b "$stage" "$release"
  # What is kept on the data partition has no other place; what Debian has put there is only for installing.
  mkdir -p "$stage/usr/lib/candor"
  sed -n 's/^Package: //p;s/^Version: //p' "$stage/var/lib/dpkg/status" | paste - - >"$stage/usr/lib/candor/packages"
  rm -rf "$stage"/var/* "$stage"/usr/share/{doc,man,locale,info,lintian,bug,gtk-doc,X11} "$stage"/{vmlinuz,initrd.img}* "$stage"/usr/lib/linux-image-*
  rm -rf "$stage"/usr/lib/aarch64-linux-gnu/{dri,libLLVM*,libgallium*,libz3*} "$stage"/usr/lib/firmware/{cypress/cyfmac5*,brcm/*pcie*}
  for name in machine-id hostname hosts resolv.conf fstab shadow- passwd- group- gshadow- apt/sources.list; do rm -f "$stage/etc/$name"; done
  rm -rf "$stage/etc/apt" "$stage"/etc/ssh "$stage"/etc/cron* "$stage"/etc/rc?.d "$stage"/etc/initramfs-tools
  : >"$stage/etc/machine-id"
  : >"$stage/etc/fstab"
  printf 'candor-unit\n' >"$stage/etc/hostname"
  printf '127.0.0.1 localhost candor-unit\n::1 localhost\n' >"$stage/etc/hosts"
  ln -s /run/systemd/resolve/resolv.conf "$stage/etc/resolv.conf"
  ln -s /var/lib/candor-unit/camera "$stage/etc/candor-edge"
  rm -f "$stage/etc/localtime" && ln -s /usr/share/zoneinfo/UTC "$stage/etc/localtime"
  # No account has a password, nor can one be logged in to.
  sed 's/^\([^:]*\):[^:]*:/\1:!*:/' "$base/etc/shadow" >"$work/shadow"
  rm -f "$stage/etc/shadow"
  install -m 640 -g 42 "$work/shadow" "$stage/etc/shadow"
  put_files "$checkout/scripts/unit-image/files" "$stage"
  sed "s/@COMPATIBLE@/$compatible/" "$stage/etc/rauc/system.conf.in" >"$work/system.conf"
  rm -f "$stage/etc/rauc/system.conf" "$stage/etc/rauc/system.conf.in"
  install -m 644 "$work/system.conf" "$stage/etc/rauc/system.conf"
  install -m 644 "$keys/authority.pem" "$stage/etc/rauc/authority.pem"
  printf '{"version": "%s", "floor": "%s", "compatible": "%s"}\n' "$version" "$floor" "$compatible" >"$stage/usr/lib/candor/release.json"
  printf '%s' "$unit_settings" >"$stage/etc/candor-unit.json"
  put_programs
  mkdir -p "$stage/usr/lib/systemd/system"
  cp "$checkout"/systemd/candor-{edge,setup,prepare,provision,network,confirm,update,wifi}.service "$checkout/systemd/candor-update.path" "$stage/usr/lib/systemd/system/"
  for name in candor-edge candor-setup; do
    mkdir -p "$stage/etc/systemd/system/$name.service.d"
    cp "$checkout/systemd/candor-edge.devices.conf" "$stage/etc/systemd/system/$name.service.d/devices.conf"
  done
  # The only account besides root's that must be there before a service starts: /etc cannot be written on a unit.
  systemd-sysusers --root="$stage" - <"$checkout/systemd/candor-setup.sysusers.conf" >"$work/sysusers.log" 2>&1 ||
    fail 'the account of the set-up page cannot be made' "$(tail -n 3 "$work/sysusers.log")"
  for name in shadow- passwd- group- gshadow- .pwd.lock; do rm -f "$stage/etc/$name"; done
  cp "$stage/usr/share/systemd/tmp.mount" "$stage/etc/systemd/system/tmp.mount"
  systemctl --root="$stage" enable "${IMAGE_UNITS[@]}" >"$work/units.log" 2>&1 || fail 'the units cannot be enabled' "$(tail -n 3 "$work/units.log")"
  systemctl --root="$stage" mask "${MASKED_UNITS[@]}" >>"$work/units.log" 2>&1 || fail 'units cannot be masked' "$(tail -n 3 "$work/units.log")"
  systemctl --root="$stage" set-default multi-user.target >>"$work/units.log" 2>&1
  if [ -n "$hil" ]; then
    put_files "$checkout/scripts/hil-image/files" "$stage"
    fetch_key_store
    for name in "$build"/key-store/*.deb; do dpkg-deb --fsys-tarfile "$name" | tar -x -C "$stage" --keep-directory-symlink --exclude='./usr/share/*'; done
    systemctl --root="$stage" enable candor-hil.service candor-hil-tpm.service >>"$work/units.log" 2>&1 || fail 'the units of tests cannot be enabled'
  fi
  if [ -n "$break_edge" ]; then
    rm -f "$stage/opt/candor/edge/main.js"
    printf 'throw new Error("a release that does not work, made by scripts/image --break-edge")\n' >"$stage/opt/candor/edge/main.js"
  fi
  [ -n "$break_edge" ] || try_stage
  say "the root: $(du -sm "$stage" | cut -f 1) MB, $((SECONDS - started)) s"
}

# As in_root of arm64/emulator.sh, in the tree of an image. Started by in_tree in namespaces of its own.
inside_tree() { # HANDLER TREE CPU COMMAND…
  local handler="$1" tree="$2" cpu="$3" device
  shift 3
  if [ "$handler" = private ]; then
    mount -t binfmt_misc binfmt_misc "$cache/binfmt"
    register "$cache/binfmt"
  fi
  mount --rbind /proc "$tree/proc"
  mount --bind "$cache/cpuinfo" "$tree/proc/cpuinfo"
  mount -t tmpfs tmpfs "$tree/tmp"
  mount -t tmpfs tmpfs "$tree/dev"
  for device in null zero random urandom; do
    : >"$tree/dev/$device"
    mount --bind "/dev/$device" "$tree/dev/$device"
  done
  mkdir -p "$tree/dev/shm"
  exec env -i PATH=/usr/bin:/bin HOME=/tmp "QEMU_CPU=$cpu" OPENCV4NODEJS_DISABLE_AUTOBUILD=1 \
    OPENCV4NODEJS_DISABLE_EXTERNAL_MEM_TRACKING=1 "$(command -v chroot)" "$tree" "$@"
}

in_tree() { # TREE COMMAND…
  local tree="$1" status=0
  shift
  "${enter[@]}" bash "$self" --inside-tree "$handler" "$tree" "$cpu" "$@" &
  running=$!
  wait "$running" || status=$?
  running=''
  return "$status"
}

# Everything that a camera loads, out of this very tree, by the emulator: what is missing shows here and not on a pole.
try_stage() {
  in_tree "$stage" /usr/bin/node --input-type=module -e '
    import { createRequire } from "node:module"
    const require = createRequire("/opt/candor/edge/main.js")
    for (const name of ["better-sqlite3", "sharp", "onnxruntime-node", "node-gphoto2", "opencv4nodejs", "tesseract.js"]) require(name)
    await import("opencv4nodejs").catch(() => {})
    await import("/opt/candor/edge/main.js")
    await import("/opt/candor/edge/vision/tesseract.js")
    await import("/opt/candor/edge/vision/opencv.js")
  ' >"$work/try.log" 2>&1 || { tail -n 12 "$work/try.log" >&2; fail 'the camera does not load in the root' "see $work/try.log"; }
}

# A TPM in software. QEMU has one for its machine virt, but Debian's kernel for arm64 is built without the driver for it (CONFIG_TCG_TIS), so in test
# images it runs in the unit, behind the kernel's proxy, with its state on a disk of its own.
fetch_key_store() {
  local apt="$build/apt" options
  [ ! -d "$build/key-store" ] || return 0
  rm -rf "$apt" "$build/key-store.new"
  mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$build/key-store.new"
  : >"$apt/status"
  printf 'deb [arch=arm64 signed-by=%s] http://deb.debian.org/debian %s main\n' "$DEBIAN_KEYS" "$BASE_SUITE" >"$apt/sources.list"
  options=(
    -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=root -o "Dir::State=$apt" -o "Dir::State::status=$apt/status"
    -o "Dir::Cache=$apt" -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null -qq
  )
  apt-get "${options[@]}" update && (cd "$build/key-store.new" && apt-get "${options[@]}" download swtpm swtpm-libs libtpms0 libseccomp2) ||
    fail "Debian's packages of the software TPM cannot be fetched"
  rm -rf "$apt"
  mv "$build/key-store.new" "$build/key-store"
}

# Files of this repository have no owner and no mode but "can be started" of their own there.
put_files() { # FROM ROOT
  local file
  while IFS= read -r -d '' file; do
    mkdir -p "$2/$(dirname "$file")"
    rm -f "$2/$file"
    if [ -x "$1/$file" ]; then install -m 755 "$1/$file" "$2/$file"; else install -m 644 "$1/$file" "$2/$file"; fi
  done < <(cd "$1" && find . -type f -print0)
}

put_programs() {
  rm -rf "$stage"/usr/local/*
  install -m 755 "$root/usr/local/bin/node" "$stage/usr/bin/node"
  install -m 755 /dev/stdin "$stage/usr/bin/candor" <<'PROGRAM'
#!/bin/sh
export OPENCV4NODEJS_DISABLE_AUTOBUILD=1 OPENCV4NODEJS_DISABLE_EXTERNAL_MEM_TRACKING=1
exec /usr/bin/node /opt/candor/scripts/unit/candor.js "$@"
PROGRAM
  install -m 755 /dev/stdin "$stage/usr/lib/candor/slots" <<'PROGRAM'
#!/bin/sh
exec /usr/bin/node /opt/candor/unit/main.mjs slots "$@"
PROGRAM
}

# The smallest file system that holds the tree, a little more than that: an update writes all of it.
make_root_file() {
  local size started=$SECONDS
  root_file="$work/root.ext4"
  rm -f "$root_file"
  find "$stage" -newermt "@$SOURCE_DATE_EPOCH" -print0 | xargs -0 -r touch -h -d "@$SOURCE_DATE_EPOCH"
  size=$(($(du -sm --apparent-size "$stage" | cut -f 1) * 115 / 100 + 64))
  [ "$size" -le "$SLOT_MB" ] || fail "the root needs $size MB, and a slot has $SLOT_MB" 'SLOT_MB in scripts/image'
  say "the root as a file system of $size MB"
  mke2fs -q -t ext4 -d "$stage" -L root -m 0 -O ^metadata_csum_seed,^orphan_file,^resize_inode,^has_journal \
    -U "$ROOT_UUID" -E "hash_seed=$ROOT_UUID,lazy_itable_init=0" "$root_file" "${size}M" ||
    fail 'the file system cannot be made' 'is the disk full?'
  say "the file system is made, $((SECONDS - started)) s"
}

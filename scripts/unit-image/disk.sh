# Read by scripts/image: from the root's file to what is given out: the card's image with its map, sums and signature, and the update bundle.
# Needs from it: say, fail, checkout, build, work, output, keys, version, compatible, hil, root_file, boot_packages.

# A key for the sums, an authority and a certificate for bundles; made once, and never in an image but for their public halves.
make_release_keys() {
  local kind
  mkdir -p "$keys"
  chmod 700 "$keys"
  if [ ! -f "$keys/release.key" ]; then
    say "release keys: made in ${keys#"$checkout"/}; keep them: units take updates of no others"
    (
      umask 077
      cd "$keys"
      openssl genpkey -algorithm ed25519 -out release.key.new
      openssl pkey -in release.key.new -pubout -out release.pem
      for kind in authority bundle; do openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$kind.key"; done
      openssl req -new -x509 -key authority.key -days 7300 -subj '/CN=Candor release authority' -out authority.pem \
        -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign'
      openssl req -new -key bundle.key -subj '/CN=Candor release' -out bundle.csr
      printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n' >bundle.ext
      openssl x509 -req -in bundle.csr -CA authority.pem -CAkey authority.key -set_serial 1 -days 7300 -extfile bundle.ext -out bundle.pem
      rm -f bundle.csr bundle.ext
      chmod 644 ./*.pem
      # Last: where it is, all are.
      mv release.key.new release.key
    ) 2>"$work/keys.log" || fail 'the release keys cannot be made' "see $work/keys.log"
  fi
}

make_boot_files() {
  local card="$work/card" firmware="$work/firmware" deb started=$SECONDS
  rm -rf "$card" "$firmware"
  mkdir -p "$card/candor" "$firmware"
  for deb in "$build"/boot-packages/*.deb; do dpkg-deb -x "$deb" "$firmware"; done
  mkimage -q -A arm64 -T script -C none -n 'Candor: two slots' -d scripts/unit-image/boot.cmd "$card/boot.scr" >/dev/null
  cp "$firmware"/usr/lib/raspi-firmware/{bootcode.bin,start*.elf,fixup*.dat} "$card/"
  [ ! -d "$firmware/usr/lib/raspi-firmware/overlays" ] || cp -r "$firmware/usr/lib/raspi-firmware/overlays" "$card/"
  node --import tsx scripts/unit-image/boot-loader.ts "$firmware"/usr/lib/u-boot/rpi_arm64/u-boot.bin "$card/u-boot.bin" ||
    fail "Debian's U-Boot cannot be given the defaults of a unit" 'see above'
  cp "$base"/usr/lib/linux-image-*/broadcom/bcm27*.dtb "$card/"
  cp scripts/unit-image/config.txt "$card/config.txt"
  cp scripts/unit-image/card.txt "$card/candor/README.txt"
  cp "$firmware"/usr/lib/u-boot/qemu_arm64/u-boot.bin "$output/u-boot-qemu-arm64.bin"
  # QEMU has no Pi 4; a Pi 3 of its stands in, see scripts/hil-image/pi-step.ts.
  [ -z "$hil" ] || cp "$base"/usr/lib/linux-image-*/broadcom/bcm2837-rpi-3-b.dtb "$output/"
  rm -f "$work/card.vfat"
  mkfs.vfat -C -F 32 -n CANDOR -i "$(printf '%08x' $((SOURCE_DATE_EPOCH & 0xffffffff)))" "$work/card.vfat" $((CARD_MB * 1024)) >/dev/null
  find "$card" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
  mcopy -s -m -i "$work/card.vfat" "$card"/* ::/
  node --import tsx scripts/unit-image/boot-state-file.ts "$work/bootstate.bin"
  say "the FAT partition, $((SECONDS - started)) s"
}

make_image() {
  local image="$output/candor-unit-$version-arm64.img" started=$SECONDS config="$work/genimage.cfg"
  say 'the image: partitions'
  rm -rf "$work/genimage" "$work/genimage-root"
  mkdir -p "$work/genimage-root"
  cat >"$config" <<CONFIG
image ${image##*/} {
  hdimage {
    partition-table-type = "gpt"
    disk-uuid = "$DISK_UUID"
  }
  partition CANDOR { image = "card.vfat" partition-type-uuid = "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7" offset = 4M }
  partition bootstate { image = "bootstate.bin" partition-type-uuid = "3de21764-95bd-54bd-a5c3-4abe786f38a8" align = 4M }
  partition root-a { image = "root.ext4" size = ${SLOT_MB}M partition-type-uuid = "b921b045-1df0-41c3-af44-4c6f280d3fae" align = 4M }
  partition root-b { size = ${SLOT_MB}M partition-type-uuid = "b921b045-1df0-41c3-af44-4c6f280d3fae" align = 4M }
}
CONFIG
  genimage --config "$config" --inputpath "$work" --outputpath "$work/out" --rootpath "$work/genimage-root" --tmppath "$work/genimage" \
    >"$work/genimage.log" 2>&1 || { tail -n 10 "$work/genimage.log" >&2; fail 'genimage failed' "log: $work/genimage.log"; }
  bmaptool -q create -o "$image.bmap" "$work/out/${image##*/}" || fail 'bmaptool failed'
  say "the image: $(du -m --apparent-size "$work/out/${image##*/}" | cut -f 1) MB, of which $(du -m "$work/out/${image##*/}" | cut -f 1) hold something; compressing"
  zstd -q -f -T0 -6 "$work/out/${image##*/}" -o "$image.zst"
  say "the image: ${image##*/}.zst, $(du -m "$image.zst" | cut -f 1) MB, $((SECONDS - started)) s"
}

make_bundle() {
  local folder="$work/bundle" bundle="$output/candor-unit-$version-arm64.raucb" started=$SECONDS
  say 'the update bundle'
  rm -rf "$folder" "$bundle"
  mkdir -p "$folder"
  ln "$root_file" "$folder/root.ext4"
  printf '[update]\ncompatible=%s\nversion=%s\n\n[bundle]\nformat=verity\n\n[image.rootfs]\nfilename=root.ext4\n' "$compatible" "$version" >"$folder/manifest.raucm"
  rauc --cert="$keys/bundle.pem" --key="$keys/bundle.key" --keyring="$keys/authority.pem" --mksquashfs-args='-comp zstd -Xcompression-level 6 -quiet' \
    bundle "$folder" "$bundle" >"$work/rauc.log" 2>&1 || { tail -n 5 "$work/rauc.log" >&2; fail 'rauc cannot make the bundle' "log: $work/rauc.log"; }
  rm -rf "$folder"
  # For `candor release add`.
  printf '{"version": "%s", "compatible": "%s"}\n' "$version" "$compatible" >"$bundle.json"
  say "the update bundle: ${bundle##*/}, $(du -m "$bundle" | cut -f 1) MB, $((SECONDS - started)) s"
}

sign_output() {
  (cd "$output" && find . -maxdepth 1 -type f ! -name 'SHA256SUMS*' ! -name '*.pem' -printf '%P\n' | sort | xargs sha256sum -- >SHA256SUMS)
  openssl pkeyutl -sign -rawin -inkey "$keys/release.key" -in "$output/SHA256SUMS" -out "$output/SHA256SUMS.sig"
  cp "$keys/release.pem" "$output/release.pem"
}

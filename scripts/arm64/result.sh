# Sourced by scripts/hil: the dated result of a run on emulated arm64, which is committed with what it was run on.

# Of a whole run alone: one of some paths says nothing of the rest.
keep_result() { # KIND STATUS SECONDS FILE-WITH-WHAT-IT-PRINTED [NOTE]
  local folder="$checkout/scripts/arm64/results" commit changes=''
  commit="$(git -C "$checkout" rev-parse --short HEAD 2>/dev/null || echo unknown)"
  [ -z "$(git -C "$checkout" status --porcelain 2>/dev/null || true)" ] || changes=', with changes that are not committed'
  mkdir -p "$folder"
  {
    printf '# `./scripts/hil arm64 --%s`, %s\n\n' "$1" "$(date -u +%F)"
    printf 'Candor %s (%s%s); %s, emulated by %s, on %s × %s. Node %s.\n' "$(node -p "require('$checkout/package.json').version")" "$commit" "$changes" \
      "$cpu" "$(qemu-aarch64-static --version | head -n 1)" "$(nproc)" "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$NODE_VERSION"
    printf 'Ended with %s after %s s; no time here says anything of a Raspberry Pi. %s\n\n```\n' "$2" "$3" "${5:-}"
    cat "$4"
    printf '```\n'
  } >"$folder/$(date -u +%F)-$1.md"
  say "result: $folder/$(date -u +%F)-$1.md"
}

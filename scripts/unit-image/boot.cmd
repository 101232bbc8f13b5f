# U-Boot's part of the two slots: which one is started, and how often. Made into boot.scr by disk.sh; the state's format and rules stand in
# scripts/unit/boot-state.ts. The shell of U-Boot knows no functions and no indirect names, so steps are variables that are run.
# Numbers are hexadecimal. 2000 blocks are the 4 MiB between the two copies, 8 blocks or 1000 bytes are one copy.

setenv candor_names "candor_sequence candor_primary candor_a candor_b candor_machine"
setenv candor_sequence 0
setenv candor_first 0
setenv candor_second 0
part start ${devtype} ${devnum} bootstate candor_start
setexpr candor_start_second ${candor_start} + 2000

setenv candor_read_first 'if ${devtype} read ${ramdisk_addr_r} ${candor_start} 8; then if env import -c ${ramdisk_addr_r} 1000 ${candor_names}; then setenv candor_first ${candor_sequence}; fi; fi'
setenv candor_read_second 'if ${devtype} read ${ramdisk_addr_r} ${candor_start_second} 8; then if env import -c ${ramdisk_addr_r} 1000 ${candor_names}; then setenv candor_second ${candor_sequence}; fi; fi'

run candor_read_first
run candor_read_second
setenv candor_over ${candor_start}
if itest ${candor_first} -ge ${candor_second}; then
  setenv candor_over ${candor_start_second}
  run candor_read_first
fi
if test "${candor_primary}" = a -o "${candor_primary}" = b; then
  echo "Candor: number ${candor_sequence}, primary ${candor_primary}, a ${candor_a}, b ${candor_b}"
else
  echo "Candor: no boot state; as on a fresh card"
  setenv candor_sequence 0
  setenv candor_primary a
  setenv candor_a good
  setenv candor_b 0
fi

setenv candor_save 'setexpr candor_sequence ${candor_sequence} + 1; env export -c -s 1000 ${ramdisk_addr_r} ${candor_names}; ${devtype} write ${ramdisk_addr_r} ${candor_over} 8'

# Comes back only when the slot holds nothing that starts.
setenv candor_load 'load ${devtype} ${devnum}:${candor_part} ${kernel_addr_r} /boot/vmlinuz && load ${devtype} ${devnum}:${candor_part} ${ramdisk_addr_r} /boot/initrd'
setenv candor_boot 'if part number ${devtype} ${devnum} root-${slot} candor_part; then setexpr candor_part ${candor_part} + 0; if run candor_load; then setenv bootargs root=PARTLABEL=root-${slot} ro rootwait rauc.slot=${slot} panic=10 systemd.gpt_auto=0 ${candor_machine_arg} ${candor_console}; booti ${kernel_addr_r} ${ramdisk_addr_r}:${filesize} ${fdt_addr}; fi; fi; echo "Candor: slot ${slot} does not start"'

setenv candor_machine_arg ""
if test -n "${candor_machine}"; then setenv candor_machine_arg systemd.machine_id=${candor_machine}; fi
# On a Raspberry Pi the kernel speaks on the serial pins too: whoever names one console here switches off the one that the device tree names. The screen
# is last, so that it is /dev/console, where the key's fingerprint is shown.
setenv candor_console "console=ttyS1,115200 console=tty1"
if test "${board}" = qemu-arm; then setenv candor_console "console=ttyAMA0"; fi

setenv candor_choices "a b"
if test "${candor_primary}" = b; then setenv candor_choices "b a"; fi

for slot in ${candor_choices}; do
  if test ${slot} = a; then setenv candor_left ${candor_a}; else setenv candor_left ${candor_b}; fi
  if test "${candor_left}" = good; then
    run candor_boot
  elif test "${candor_left}" != 0; then
    setexpr candor_left ${candor_left} - 1
    if test ${slot} = a; then setenv candor_a ${candor_left}; else setenv candor_b ${candor_left}; fi
    echo "Candor: slot ${slot} on trial, ${candor_left} tries left after this"
    run candor_save
    run candor_boot
  fi
done

# Both are used up: whatever starts is better than a dark camera.
for slot in ${candor_choices}; do run candor_boot; done
reset

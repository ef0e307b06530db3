# Runs inside the machine of the image's test: each line that comes over its second serial line, as root. Answers with
# what that wrote, and end of transmission.
stty raw -echo
printf '\004'
while read -r command; do
  # By way of a file: to a terminal some programs write in colours, and a pipe stays open while a daemon has it.
  sh -c "$command" >/run/guest-shell.out 2>&1 </dev/null
  cat /run/guest-shell.out
  printf '\004'
done

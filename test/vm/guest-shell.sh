# Runs inside the machine of the image's test: each line that comes over its second serial line, as root. Answers with
# what that wrote, and end of transmission.
stty raw -echo
printf '\004'
while read -r command; do
  sh -c "$command" 2>&1 </dev/null
  printf '\004'
done

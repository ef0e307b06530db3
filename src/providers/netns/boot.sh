#!/bin/sh
# First thing that runs in a netns amphora, as process 1 of its own PID, mount, UTS and IPC namespaces: gives it the
# directories of its own, receives its files, and becomes the command that follows.
#
#   boot.sh HOSTNAME COMMAND...
#
# Working directory: what becomes /var/lib/octavia. Standard input: for each file a line "LENGTH PATH" and LENGTH
# bytes, at the end the line "0 end". Descriptor 3 gets the word "started" just before the command starts.
set -eu
umask 077

# This mount namespace was copied with the names of all network namespaces of the host; as long as it has them, other
# amphorae's namespaces, with their interfaces, would outlive their removal.
umount --lazy --recursive /run/netns

# Sockets, process ids and secrets are in memory, and in this amphora only.
mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs /run

# An /etc and a /var/lib of its own, in which everything of the host's but octavia shows through. This way nothing has
# to exist there on the host.
mkdir -p /run/host/etc /run/host/var/lib
for directory in /etc /var/lib; do
  mount --rbind "$directory" "/run/host$directory"
  mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs "$directory"
  ln -s "/run/host$directory"/* "$directory"
done
rm -f /etc/octavia /var/lib/octavia
mkdir /etc/octavia /var/lib/octavia
mount --bind . /var/lib/octavia
cd /

complete=
while [ -z "$complete" ] && read -r length path; do
  if [ "$path" = end ]; then
    complete=yes
  else
    [ -d "${path%/*}" ] || mkdir -p "${path%/*}"
    head -c "$length" >"$path"
  fi
done
# The controller died while it sent them: its successor starts this amphora again.
[ -n "$complete" ] || exit 1

echo "$1" >/proc/sys/kernel/hostname
shift
umask 022
echo started >&3
exec "$@" </dev/null 3>&-

/**
 * A shell script that does with units what systemd does, as far as the agent asks for it. A real systemd starts these
 * units in the test of the amphora image.
 * @param units where unit files are
 * @param run where process ids are kept
 */
export function systemctlScript(units: string, run: string): string {
  return `#!/bin/bash
unit=\${@: -1}
pid() { cat ${run}/"$unit".pid 2>/dev/null; }
option() { sed -n "s/^$1=//p" ${units}/"$unit"; }
case $1 in
  show) kill -0 "$(pid)" 2>/dev/null && pid || echo 0 ;;
  stop) kill "$(pid)" 2>/dev/null; rm -f ${run}/"$unit".pid ;;
  restart)
    kill "$(pid)" 2>/dev/null
    log=$(option StandardOutput)
    # A shell reads these quotes as systemd does.
    eval "exec setsid $(option ExecStart | sed 's/%%/%/g; s/\\$\\$/\\\\$/g')" >"\${log#truncate:}" 2>&1 &
    echo $! >${run}/"$unit".pid ;;
  daemon-reload) ;;
  *) exit 1 ;;
esac
`;
}

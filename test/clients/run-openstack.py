"""Runs the `openstack` command line, one command for each line of standard input (a JSON list of arguments), in one process
because starting takes longer than most commands. Answers with a line of JSON each: exit code, output, errors."""

import contextlib
import io
import json
import logging
import sys
import time

from openstackclient import shell

pause = time.sleep
# Between two looks --wait sleeps for seconds, in which a load balancer of the noop provider is changed a hundred times.
time.sleep = lambda seconds: pause(min(seconds, 0.1))

for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = shell.main(json.loads(line))
        except SystemExit as ended:
            code = ended.code
    # Each shell adds its handlers to those of the shells before.
    logging.getLogger().handlers.clear()
    print(json.dumps({"code": code or 0, "out": out.getvalue(), "err": err.getvalue()}), flush=True)

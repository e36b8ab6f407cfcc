#!/usr/bin/env python3
"""A small, strict CI server: it keeps its own truth about its jobs, and machines tell it which ran.

It hands a job to one lease, refuses every other, and counts what it sees. Faults (lost answers, news
that never come or come twice, stale listings) are drawn from a seed.

    GET  /jobs                       {"version": 7, "jobs": [...]}
    GET  /news?version=7             answers when there is something newer, or after 10 s
    POST /claim      {job, lease, instance}   200 {"script": ...} | 404 | 409
    POST /give-back  {job, lease}             200
    POST /finish     {job, lease, outcome, exit_code}   200 | 404 | 409
    POST /ran/JOB                    from the machine that runs it
    POST /jobs  {id, labels, script, repository, priority, time_max}     adds one
    POST /cancel/JOB
    GET  /tally                      what is true
"""
import argparse
import http.server
import json
import os
import random
import threading
import time
import urllib.parse


class State:
    def __init__(self, seed, faults):
        self.lock = threading.Condition()
        self.jobs = {}
        self.version = 0
        self.random = random.Random(seed)
        self.faults = faults
        self.calls = {}
        self.problems = []

    def changed(self):
        self.version += 1
        self.lock.notify_all()

    def strikes(self, name):
        return self.random.random() < self.faults.get(name, 0)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state = None

    def log_message(self, *_):
        pass

    def answer(self, status, body=None):
        data = json.dumps(body or {}).encode()
        # A fault: everything was done, and nobody is told.
        if self.path.startswith(("/claim", "/give-back", "/finish")) and self.state.strikes("lost"):
            self.close_connection = True
            self.connection.close()
            return
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def body(self):
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")

    def do_GET(self):
        state, url = self.state, urllib.parse.urlparse(self.path)
        with state.lock:
            state.calls[url.path] = state.calls.get(url.path, 0) + 1
            if url.path == "/jobs":
                if state.strikes("unavailable"):
                    return self.answer(503)
                now = time.time()
                jobs = [{key: value for key, value in job.items() if key != "script"}
                        for job in state.jobs.values() if not job["ended_at"] or now - job["ended_at"] < 60]
                if jobs and state.strikes("repeated"):
                    jobs.append(jobs[-1])
                return self.answer(200, {"version": state.version, "jobs": jobs})
            if url.path == "/news":
                known = int(urllib.parse.parse_qs(url.query).get("version", ["0"])[0])
                if not state.strikes("news_lost"):
                    state.lock.wait_for(lambda: state.version > known, timeout=10)
                else:
                    state.lock.wait(timeout=10)
                return self.answer(200, {"version": state.version})
            if url.path == "/tally":
                return self.answer(200, {"jobs": state.jobs, "calls": state.calls, "problems": state.problems})
        self.answer(404)

    def do_POST(self):
        state, path = self.state, self.path
        given = self.body()
        with state.lock:
            state.calls[path.split("/")[1]] = state.calls.get(path.split("/")[1], 0) + 1
            if path == "/jobs":
                for job in given if isinstance(given, list) else [given]:
                    state.jobs[job["id"]] = {
                        "repository": "", "priority": 0, "time_max": 600, **job, "state": "queued", "lease": "",
                        "instance": "", "queued_at": time.time(), "ended_at": 0, "ran": [], "outcome": "", "claims": 0}
                state.changed()
                return self.answer(200)
            if path.startswith("/ran/"):
                job = state.jobs.get(path[5:])
                if job is None:
                    return self.answer(404)
                job["ran"].append(self.client_address[0])
                if job["state"] != "claimed":
                    state.problems.append(f"{path[5:]} runs and is {job['state']}")
                return self.answer(200)
            if path.startswith("/cancel/"):
                job = state.jobs.get(path[8:])
                if job is None:
                    return self.answer(404)
                if job["state"] != "finished":
                    job.update(state="cancelled", ended_at=time.time())
                    state.changed()
                return self.answer(200)
            job = state.jobs.get(given.get("job"))
            if job is None:
                return self.answer(404)
            lease = given.get("lease")
            if not lease:
                return self.answer(400)
            if path == "/claim":
                if job["state"] == "queued":
                    job.update(state="claimed", lease=lease, instance=given["instance"], claims=job["claims"] + 1)
                    state.changed()
                if job["state"] != "claimed" or job["lease"] != lease:
                    return self.answer(409)
                return self.answer(200, {"script": job["script"]})
            if path == "/give-back":
                if job["state"] == "claimed" and job["lease"] == lease:
                    if job["ran"]:
                        state.problems.append(f"{job['id']} was given back after it ran")
                    job.update(state="queued", lease="", instance="")
                    state.changed()
                return self.answer(200)
            if path == "/finish":
                if job["lease"] != lease or job["state"] == "queued":
                    return self.answer(409)
                if job["state"] == "claimed":
                    job.update(state="finished", outcome=given["outcome"], exit_code=given["exit_code"],
                               ended_at=time.time())
                    if given["outcome"] in ("passed", "failed") and not job["ran"]:
                        state.problems.append(f"{job['id']} is said to have {given['outcome']} and never ran")
                    state.changed()
                return self.answer(200)
        self.answer(404)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A client that was killed leaves its connection half-way."""

    request_queue_size = 512


def start(seed=1, address="127.0.0.1", port=0, **faults):
    """A server on a thread of its own, and its state."""
    state = State(seed, faults)
    server = Server((address, port), type("Bound", (Handler,), {"state": state}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, state


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    running, _ = start(**vars(parser.parse_args()))
    print(f"http://127.0.0.1:{running.server_port} {os.getpid()}", flush=True)
    threading.Event().wait()

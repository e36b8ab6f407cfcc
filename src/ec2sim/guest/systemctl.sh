#!/bin/sh
# Starts and stops services in a machine without systemd, for clients that call it over SSH.
# Knows what a unit runs: the last ExecStart of its file and its drop-ins.
verb=
units=
now=
quiet=
for word in "$@"; do
  case $word in
    --now) now=1 ;;
    -q | --quiet) quiet=1 ;;
    -*) ;;
    *) if [ -z "$verb" ]; then verb=$word; else units="$units ${word%.service}"; fi ;;
  esac
done
state=/run/ec2sim-services
mkdir -p "$state"

command_of() {
  file=
  for folder in /etc/systemd/system /usr/lib/systemd/system /lib/systemd/system; do
    if [ -e "$folder/$1.service" ]; then file=$folder/$1.service; break; fi
  done
  [ -n "$file" ] || return 1
  cat "$file" /etc/systemd/system/"$1".service.d/*.conf 2> /dev/null |
    sed -e ':a' -e '/\\$/{N;s/\\\n/ /;ta' -e '}' | sed -n 's/^ExecStart=//p' |
    sed 's/^[-@:+!]*//; s/-H fd:\/\/ *//; s/\$[A-Z_]*//g' |
    awk 'NF == 0 { n = 0; next } { line[++n] = $0 } END { if (n) print line[n] }'
}

pid_of() {
  for file in "$state/$1.pid" "/run/$1.pid" "/run/${1}d.pid"; do
    pid=$(cat "$file" 2> /dev/null) && kill -0 "$pid" 2> /dev/null && echo "$pid" && return 0
  done
  return 1
}

start_unit() {
  pid_of "$1" > /dev/null && return 0
  run=$(command_of "$1")
  if [ -z "$run" ]; then
    echo "Failed to start $1.service: Unit $1.service not found." >&2
    return 5
  fi
  case $run in
    *dockerd*)
      [ -S /run/containerd/containerd.sock ] || run=$(echo "$run" | sed 's/--containerd=[^ ]*//')
      run="$run --add-runtime filtered=/usr/local/lib/ec2sim/ec2sim-runc --default-runtime filtered"
      rm -f /run/docker.pid ;;
  esac
  setsid sh -c "exec $run" >> "/var/log/$1.log" 2>&1 < /dev/null &
  echo $! > "$state/$1.pid"
  tries=0
  while [ $tries -lt 300 ]; do
    pid_of "$1" > /dev/null || break
    case $run in *dockerd*) docker version > /dev/null 2>&1 && return 0 ;; *) [ $tries -ge 2 ] && return 0 ;; esac
    tries=$((tries + 1))
    sleep 0.1
  done
  echo "Job for $1.service failed; see /var/log/$1.log." >&2
  return 1
}

stop_unit() {
  pid=$(pid_of "$1") || return 0
  kill "$pid"
  tries=0
  while kill -0 "$pid" 2> /dev/null && [ $tries -lt 300 ]; do
    tries=$((tries + 1))
    sleep 0.1
  done
  kill -9 "$pid" 2> /dev/null
  rm -f "$state/$1.pid"
}

case $verb in
  daemon-reload | reset-failed) exit 0 ;;
  poweroff | halt | reboot) exec "/usr/sbin/$verb" ;;
  start | stop | restart | reload | enable | disable | is-active | status | is-enabled) ;;
  *)
    echo "Unknown command verb $verb." >&2
    exit 1 ;;
esac
result=0
for unit in $units; do
  case $verb in
    start) start_unit "$unit" || result=$? ;;
    stop) stop_unit "$unit" ;;
    restart) stop_unit "$unit"; start_unit "$unit" || result=$? ;;
    reload) pid=$(pid_of "$unit") && kill -HUP "$pid" || result=1 ;;
    enable | disable | is-enabled)
      if [ -z "$(command_of "$unit")" ]; then
        echo "Failed to $verb unit: Unit file $unit.service does not exist." >&2
        result=1
      elif [ $verb = is-enabled ]; then
        [ -n "$quiet" ] || echo enabled
      elif [ -n "$now" ] && [ $verb = enable ]; then
        start_unit "$unit" || result=$?
      elif [ -n "$now" ]; then
        stop_unit "$unit"
      fi ;;
    *)
      is=active
      pid_of "$unit" > /dev/null || { is=inactive; result=3; }
      [ -n "$quiet" ] || echo "$is" ;;
  esac
done
exit $result

# shellcheck shell=bash
# Words of the steps. Sourced.
step() { printf '\n▶ %s\n' "$*"; }
fail() { echo "$*" >&2; exit 1; }
need() { command -v "$1" >/dev/null || fail "$1 is needed: $2"; }
has() { case " $COMPONENTS " in *" $1 "*) true ;; *) false ;; esac }

# Ask before data goes; YES=1 says yes, and without a terminal the answer is no.
ask() {
  [ "${YES:-}" = 1 ] && return 0
  [ -t 0 ] || return 1
  local answer
  read -r -p "$* [y/N] " answer
  [ "$answer" = y ] || [ "$answer" = yes ]
}

# A namespace that is not there yet; the label says that it is ours, and goes with the rest.
make_namespace() {
  kubectl get namespace "$1" >/dev/null 2>&1 && return 0
  kubectl create namespace "$1"
  kubectl label namespace "$1" app.kubernetes.io/part-of=bigdata
}

#!/bin/sh
# Make a virtual environment with the first Python that can run peopleseg, or with the named one.
#
#     sh requirements/make_venv.sh FOLDER [PYTHON]
set -eu

venv=$1
check=${0%/*}/check_python.py
rejected=""
for python in ${2:-python3 python3.12 python3.11 python3.10}; do
    path=$(command -v "$python") || continue
    if reason=$("$path" "$check" 2>&1); then
        echo "making $venv with $path"
        exec "$path" -m venv --clear "$venv"
    fi
    rejected="$rejected
  $path: $reason"
done

echo "No Python here can run peopleseg, which needs Python 3.10 to 3.12 on glibc 2.35 or newer.${rejected:-
  there is no ${2:-python3} on the PATH}
Install one, or name it: make PYTHON=/path/to/python3.11" >&2
exit 1

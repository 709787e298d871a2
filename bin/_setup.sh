# Sourced by the commands of bin/: goes to the project's folder, makes or refreshes its virtual
# environment, and leaves its interpreter in $PYTHON.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

find_python() {
    local candidate
    for candidate in "${BOOTSTRAP_PYTHON:-}" python3.11 python3.12 python3.13 python3.14 python3 python; do
        # Runs it, since a version manager's shim may exist without its Python.
        if [ -n "$candidate" ] && "$candidate" -c \
            'import sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    echo "Landfall needs Python 3.11 or newer (with its venv module) on the PATH." >&2
    echo "Install one, or name it: BOOTSTRAP_PYTHON=/path/to/python3.11 $0" >&2
    return 1
}

found=$(find_python) || exit 1
PYTHON=$("$found" localnet/bootstrap.py) || exit 1
export PYTHON

# Installs what the tree needs; sourced by ./dev, in the tree's folder. Each function is quick when
# nothing is left to do and says what it does when something is.

# Fails with a sentence.
die()
{
    printf 'dev: %s\n' "$*" >&2
    exit 1
}

say()
{
    printf 'dev: %s\n' "$*" >&2
}

as_root()
{
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# Is the thing that stamp $1 stands for made from exactly the files $2…?
is_fresh()
{
    stamp=.deps/$1.stamp
    shift
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(cat "$@" | sha256sum)" ]
}

set_fresh()
{
    stamp=.deps/$1.stamp
    shift
    mkdir -p .deps
    cat "$@" | sha256sum >"$stamp"
}

# setup_system GROUP…: the system packages of these groups of tools/apt-packages.txt.
setup_system()
{
    command -v dpkg-query >/dev/null || return 0 # another system: its owner knows the names
    groups=$(printf '%s|' "$@")
    wanted=$(sed -nE "s/^(${groups%|}): //p" tools/apt-packages.txt)
    # shellcheck disable=SC2086 # a list of words
    missing=$(printf '%s\n' $wanted | grep -vxF -e "$(dpkg-query -W \
        -f='${db:Status-Abbrev} ${Package}\n' $wanted 2>/dev/null | sed -n 's/^ii *//p')") || return 0
    say "installing system packages:" $missing
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null || die "that needs root, or sudo"
    mkdir -p .deps
    {
        as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q &&
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
    } </dev/null >.deps/apt.log 2>&1 || {
        cat .deps/apt.log >&2
        die "the system packages could not be installed"
    }
}

# setup_python FILE: the virtual environment .venv with the packages pinned in FILE.
setup_python()
{
    [ -x .venv/bin/python ] || rm -f .deps/python-*.stamp
    name=python-$(basename "$1" .txt)
    is_fresh "$name" "$1" && return
    say "installing the Python packages of $1 into .venv"
    [ -x .venv/bin/python ] || python3 -m venv .venv
    .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes --only-binary :all: -r "$1"
    set_fresh "$name" "$1"
}

# llhttp's sources, which Debian has too old, unpacked into .deps/llhttp.
setup_llhttp()
{
    pin=tools/requirements-llhttp.txt
    is_fresh llhttp "$pin" && return
    say "fetching llhttp"
    rm -rf .deps/llhttp .deps/download
    .venv/bin/python -m pip download -q --disable-pip-version-check --no-deps --no-build-isolation \
        --no-binary :all: --require-hashes -d .deps/download -r "$pin"
    mkdir -p .deps/llhttp
    tar -xzf .deps/download/*.tar.gz -C .deps/llhttp --strip-components=3 --wildcards '*/vendor/llhttp/*'
    rm -rf .deps/download
    set_fresh llhttp "$pin"
}

# The crate ort-sys lists ONNX Runtime's functions in order: our table is compared with it. Where there is no cargo, that
# test is skipped.
setup_ort_sys()
{
    pin=tools/ort-sys.version
    command -v cargo >/dev/null || return 0
    is_fresh ort-sys "$pin" && return
    say "fetching the crate ort-sys"
    work=$(mktemp -d)
    printf '[package]\nname = "none"\nversion = "0.0.0"\n[lib]\npath = "none.rs"\n[dependencies]\n' >"$work/Cargo.toml"
    printf 'ort-sys = { version = "=%s", default-features = false }\n' "$(cat "$pin")" >>"$work/Cargo.toml"
    : >"$work/none.rs"
    CARGO_HOME=$work/cargo cargo fetch -q --manifest-path "$work/Cargo.toml" >&2
    mkdir -p .deps/ort-sys/src
    cp "$work"/cargo/registry/src/*/ort-sys-*/src/lib.rs .deps/ort-sys/src/lib.rs # the test checks its hash
    rm -rf "$work"
    set_fresh ort-sys "$pin"
}

# grpcurl, for the tests that talk as a person would; they are skipped where there is no Go.
setup_grpcurl()
{
    pin=tools/grpcurl.version
    command -v go >/dev/null || return 0
    is_fresh grpcurl "$pin" && return
    say "building grpcurl"
    GOBIN=$PWD/.deps/bin GOFLAGS=-modcacherw go install "github.com/fullstorydev/grpcurl/cmd/grpcurl@$(cat "$pin")" >&2
    set_fresh grpcurl "$pin"
}

# sslyze, which looks at a server's TLS from outside, in an environment of its own: it wants older packages than others.
setup_sslyze()
{
    pin=tools/requirements-sslyze.txt
    is_fresh sslyze "$pin" && return
    say "installing sslyze"
    rm -rf .deps/sslyze
    python3 -m venv .deps/sslyze
    .deps/sslyze/bin/python -m pip install -q --disable-pip-version-check --require-hashes \
        --only-binary :all: --no-binary sslyze -r "$pin"
    set_fresh sslyze "$pin"
}

# A real tritonserver to compare with, out of a wheel (no GPU needed), with Python models alone, in an environment of its
# own: `tools/tritonserver.sh` starts it.
setup_tritonserver()
{
    pin=tools/requirements-tritonserver.txt
    is_fresh tritonserver "$pin" && return
    say "installing tritonserver"
    rm -rf .deps/tritonserver
    python3 -m venv .deps/tritonserver
    .deps/tritonserver/bin/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps \
        --only-binary :all: -r "$pin"
    server=$(echo .deps/tritonserver/lib/python3*/site-packages/pytriton)/tritonserver
    python=$(.deps/tritonserver/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    cp "$server/python_backend_stubs/$python/triton_python_backend_stub" "$server/backends/python/"
    set_fresh tritonserver "$pin"
}

# perf_analyzer, out of an older wheel of NVIDIA's clients, in an environment of its own: only a long test needs it.
setup_perf_analyzer()
{
    pin=tools/requirements-perf-analyzer.txt
    is_fresh perf_analyzer "$pin" && return
    say "installing perf_analyzer"
    rm -rf .deps/perf_analyzer
    python3 -m venv .deps/perf_analyzer
    .deps/perf_analyzer/bin/python -m pip install -q --disable-pip-version-check --require-hashes --only-binary :all: --no-deps -r "$pin"
    set_fresh perf_analyzer "$pin"
}

# schemathesis, which makes requests of an OpenAPI document, in an environment of its own: only a long test needs it.
setup_schemathesis()
{
    pin=tools/requirements-schemathesis.txt
    is_fresh schemathesis "$pin" && return
    say "installing schemathesis"
    rm -rf .deps/schemathesis
    python3 -m venv .deps/schemathesis
    .deps/schemathesis/bin/python -m pip install -q --disable-pip-version-check --require-hashes --only-binary :all: -r "$pin"
    set_fresh schemathesis "$pin"
}

# The judges of protocols that are written in Go (tools/judges/); their tests are skipped where there is no Go.
setup_judges()
{
    pin=tools/judges
    command -v go >/dev/null || return 0
    is_fresh judges $pin/go.mod $pin/go.sum && return
    say "building h2spec, connectconformance and the gRPC interop client"
    for program in h2spec:github.com/summerwind/h2spec/cmd/h2spec \
        connectconformance:connectrpc.com/conformance/cmd/connectconformance \
        grpc_interop_client:google.golang.org/grpc/interop/client; do
        (cd $pin && GOFLAGS=-modcacherw go build -mod=readonly -o "../../.deps/bin/${program%%:*}" "${program#*:}") >&2
    done
    set_fresh judges $pin/go.mod $pin/go.sum
}

# setup_configure FOLDER COMPILER OPTION…: configures a build once per set of options.
setup_configure()
{
    folder=$1 compiler=$2
    shift 2
    options="$compiler $* -Dllhttp=$PWD/.deps/llhttp"
    [ ! -f "$folder/build.ninja" ] || [ "$options" != "$(cat "$folder/.options" 2>/dev/null)" ] || return 0
    rm -rf "$folder"
    CC=$compiler meson setup "$folder" "-Dllhttp=$PWD/.deps/llhttp" "$@" >"$folder.log" 2>&1 || {
        cat "$folder.log" >&2
        die "meson setup failed"
    }
    mv "$folder.log" "$folder/setup.log"
    printf '%s\n' "$options" >"$folder/.options"
}

# setup_ninja FOLDER [TARGET]: builds. ninja says nothing when nothing is left to do, and everything when something fails.
setup_ninja()
{
    ninja -C "$1" -n ${2:+"$2"} 2>/dev/null | grep -q 'no work to do' ||
        say "building in $1; all of it takes some minutes"
    ninja -C "$1" --quiet ${2:+"$2"} >"$1/build.log" 2>&1 || {
        cat "$1/build.log" >&2
        die "the build in $1 failed"
    }
}

# setup_build FOLDER COMPILER OPTION…: configures and builds.
setup_build()
{
    setup_configure "$@"
    setup_ninja "$1"
}

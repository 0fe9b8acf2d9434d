# Builds the clients of tests/clients/ into .deps/clients, with stubs generated from proto/; sourced after setup.sh. Each
# is run by the one command in its file `command`. One whose language is not installed is left out.

# Its sources, ours and the protocol's, in a folder of its own: .deps/clients/LANGUAGE.
clients_folder()
{
    folder=.deps/clients/$1
    rm -rf "$folder"
    mkdir -p "$folder/proto"
    cp -R "tests/clients/$1/." "$folder"
    cp -R proto/inference.proto proto/model_config.proto proto/grpc "$folder/proto"
}

clients_files()
{
    find tests/clients/"$1" proto tools/grpc_stacks.sh -type f | LC_ALL=C sort
}

setup_client_go()
{
    command -v go >/dev/null || return 0
    # shellcheck disable=SC2046 # names without spaces
    is_fresh client-go $(clients_files go) && return
    say "building the client of grpc-go"
    clients_folder go
    (
        cd .deps/clients/go
        packages=
        mkdir -p bin pb
        GOFLAGS=-modcacherw GOBIN=$PWD/bin go install -mod=readonly tool
        for service in inference:inference.proto inference:model_config.proto health:grpc/health/v1/health.proto \
            reflection:grpc/reflection/v1/reflection.proto; do
            packages="$packages M${service#*:}=tensord/client/pb/${service%%:*}"
        done
        # shellcheck disable=SC2086 # words
        set -- $packages
        options=module=tensord/client$(printf ',%s' "$@")
        PATH=$PWD/bin:$PATH protoc -Iproto --go_out=. --go_opt="$options" --go-grpc_out=. --go-grpc_opt="$options" \
            inference.proto model_config.proto grpc/health/v1/health.proto grpc/reflection/v1/reflection.proto
        GOFLAGS=-modcacherw go build -mod=readonly -o client .
        printf '%s\n' "$PWD/client" >command
    ) >&2
    # shellcheck disable=SC2046
    set_fresh client-go $(clients_files go)
}

# Maven fetches what the lock file's hashes are checked against.
setup_client_java()
{
    command -v javac >/dev/null && command -v mvn >/dev/null || return 0
    # shellcheck disable=SC2046
    is_fresh client-java $(clients_files java) && return
    say "building the client of grpc-java"
    clients_folder java
    (
        cd .deps/clients/java
        case $(uname -m) in aarch64) machine=aarch_64 ;; *) machine=x86_64 ;; esac
        mvn -q -B -C org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
            -Dmachine=$machine -DoutputDirectory=jars -Dmdep.stripClassifier=false
        (cd jars && sha256sum --quiet --check --ignore-missing --strict ../jars.sha256)
        [ -z "$(for jar in jars/*; do grep -F "  ${jar#jars/}" jars.sha256 >/dev/null || echo "$jar"; done)" ] ||
            die "tests/clients/java/jars.sha256 does not name every jar"
        chmod +x jars/*.exe
        mkdir stubs classes
        protoc -Iproto --plugin=protoc-gen-grpc-java="$(echo jars/protoc-gen-grpc-java-*.exe)" --java_out=stubs \
            --grpc-java_out=stubs inference.proto model_config.proto grpc/health/v1/health.proto \
            grpc/reflection/v1/reflection.proto
        find stubs -name '*.java' >sources
        javac -nowarn -Xlint:-options,-deprecation -d classes -cp 'jars/*' @sources ./*.java
        printf '%s\n' "java -cp $PWD/classes:$PWD/jars/* Client" >command
    ) >&2
    # shellcheck disable=SC2046
    set_fresh client-java $(clients_files java)
}

# Its stubs are made of proto/ while it runs.
setup_client_javascript()
{
    command -v npm >/dev/null || return 0
    # shellcheck disable=SC2046
    is_fresh client-javascript $(clients_files javascript) && return
    say "installing what the client of grpc-js needs"
    clients_folder javascript
    (
        cd .deps/clients/javascript
        npm ci --silent --no-audit --no-fund --ignore-scripts
        printf '%s\n' "node $PWD/client.js" >command
    ) >&2
    # shellcheck disable=SC2046
    set_fresh client-javascript $(clients_files javascript)
}

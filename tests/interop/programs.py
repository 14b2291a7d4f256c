"""The real programs, fetched by name through the ordinary package clients and kept.

Used by the interop suite, the peer comparison and CI. Everything lands in one ignored folder:
`tests/interop/.cache`, or the one that EDGESPAN_CACHE names, so that CI can keep it between two
clean checkouts. What is there is used again without a word; what cannot be had is an error.
"""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = pathlib.Path(os.environ.get("EDGESPAN_CACHE") or HERE / ".cache").resolve()
VENV = CACHE / "venv"

# The Debian package that brings each command, or a file that stands for what has no command.
DEBIAN = {
    "/usr/lib/apache2/modules/mod_auth_openidc.so": "libapache2-mod-auth-openidc",
    "/usr/share/doc/libcrypt-openssl-bignum-perl": "libcrypt-openssl-bignum-perl",
    "/usr/share/doc/libcrypt-openssl-rsa-perl": "libcrypt-openssl-rsa-perl",
    "/usr/share/doc/libcrypt-openssl-x509-perl": "libcrypt-openssl-x509-perl",
    "/usr/share/lemonldap-ng/portal/htdocs/index.psgi": "liblemonldap-ng-portal-perl",
    "/usr/share/perl5/GD/SecurityImage.pm": "libgd-securityimage-perl",
    "/usr/share/perl5/IO/String.pm": "libio-string-perl",
    "/usr/share/perl5/Image/Magick.pm": "libimage-magick-perl",
    "/usr/share/perl5/String/Random.pm": "libstring-random-perl",
    "apache2": "apache2-bin",
    "chromium": "chromium",
    "curl": "curl",
    "h2load": "nghttp2-client",
    "haproxy": "haproxy",
    "llng-fastcgi-server": "lemonldap-ng-fastcgi-server",
    "nginx": "nginx-light",
    "node": "nodejs",
    "npm": "npm",
    "openssl": "openssl",
    "slowhttptest": "slowhttptest",
    "sslscan": "sslscan",
    "redis-cli": "redis-tools",
    "redis-server": "redis-server",
    "testssl": "testssl.sh",
    "taskset": "util-linux",
    "wrk": "wrk",
}


def say(text):
    """One line of progress. Fetching takes minutes the first time."""
    print(f"  {text}", file=sys.stderr, flush=True)


def run(*command, **options):
    """Runs a client to its end; its output is shown only if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}\nfailed: {done.returncode}")
    return done.stdout


def stamped(folder, text):
    """Whether `folder` was made from this very text, and a function to say that it now is."""
    stamp = folder.with_name(folder.name + ".stamp")
    digest = hashlib.sha256(text.encode()).hexdigest()
    fresh = folder.exists() and stamp.exists() and stamp.read_text() == digest
    return fresh, lambda: stamp.write_text(digest)


def python():
    """The Python that has the packages of requirements.txt."""
    wanted = HERE / "requirements.txt"
    fresh, done = stamped(VENV, wanted.read_text() + sys.version)
    if not fresh:
        say("fetching the Python packages, once (half a minute)")
        CACHE.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(VENV, ignore_errors=True)
        run(sys.executable, "-m", "venv", VENV)
        run(VENV / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "-r", wanted)
        done()
    return VENV / "bin/python"


def inside_venv():
    """Starts the calling script again with the packages, unless it already has them."""
    own = python()
    if pathlib.Path(sys.prefix) != VENV:
        os.execv(own, [str(own), *sys.argv])


def envoy():
    """Envoy 1.40."""
    python()
    return VENV / "bin/envoy"


def envoys_messages():
    """Envoy's messages as gRPC itself generates them, for this Python to import.

    In a folder of their own, behind all others: the package brings an old copy of OTLP, too, which
    must not take the place of the one that the receiver reads by.
    """
    folder = CACHE / "xds"
    wanted = "xds-protos==1.85.0"
    fresh, done = stamped(folder, wanted)
    if not fresh:
        say("fetching Envoy's messages, once")
        shutil.rmtree(folder, ignore_errors=True)
        pip = [VENV / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        run(*pip, "--target", folder, wanted)
        done()
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
        # The packages with Envoy's program and with protobuf have the same names.
        import envoy
        import google

        envoy.__path__.append(str(folder / "envoy"))
        google.__path__ = [*google.__path__, str(folder / "google")]


def debian(*commands):
    """Makes sure of what Debian packages bring, installing what is missing."""
    missing = [name for name in commands if not _found(name)]
    if missing:
        packages = [DEBIAN[name] for name in missing]
        if os.geteuid() != 0:
            sys.exit(f"missing: {', '.join(missing)}; install {' '.join(packages)}")
        say(f"installing {' '.join(packages)}")
        # RUNLEVEL=1: the packages' own services are not to be started.
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        run("apt-get", "update", "-q", env=quiet)
        run("apt-get", "install", "-q", "-y", "--no-install-recommends", *packages, env=quiet)
    return [_found(name) or sys.exit(f"no {name}") for name in commands]


def _found(name):
    """Where a command or file is, if it is there."""
    if name.startswith("/"):
        return name if os.path.exists(name) else None
    # nginx and HAProxy are in sbin, which is not everybody's PATH.
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def lemonldap():
    """LemonLDAP::NG's server, and what its portal needs."""
    portal = [name for name in DEBIAN if name.startswith("/usr/share/")]
    return debian("llng-fastcgi-server", *portal)[0]


def node():
    """Node, and the folder with the packages that its scripts import."""
    [program] = debian("node")
    wanted = HERE / "package.json"
    folder = CACHE / "node"
    fresh, done = stamped(folder, wanted.read_text())
    if not fresh:
        say("fetching the Node packages, once")
        [npm] = debian("npm")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(wanted, folder)
        run(npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", cwd=folder)
        done()
    return program, folder / "node_modules"


def authelia():
    """What starts Authelia 3, but for its configuration: the last one that a registry has whole."""
    wanted = "authelia@3.16.2"
    folder = CACHE / "authelia"
    fresh, done = stamped(folder, wanted)
    [program] = debian("node")
    if not fresh:
        say("fetching Authelia, once")
        [npm] = debian("npm")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        # A package of its own: else npm looks for one in the folders above.
        (folder / "package.json").write_text('{"private": true}\n')
        quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--omit=dev"]
        run(npm, "install", *quiet, wanted, cwd=folder)
        done()
    script = folder / "node_modules/authelia/dist/server/src/index.js"
    return [program, "--require", HERE / "authelia.js", script]


def collector():
    """OpenTelemetry's Collector, put together by its own builder."""
    recipe = HERE / "collector.yaml"
    folder = CACHE / "collector"
    fresh, done = stamped(folder, recipe.read_text())
    if not fresh:
        say("building the OpenTelemetry Collector, once (two minutes)")
        folder.mkdir(parents=True, exist_ok=True)
        builder = "go.opentelemetry.io/collector/cmd/builder@v0.150.0"
        run("go", "run", builder, "--config", recipe, cwd=CACHE)
        done()
    return folder / "otelcol"


def jaeger():
    """Jaeger, all in one process: OTLP in, its APIs out."""
    wanted = "github.com/jaegertracing/jaeger/cmd/all-in-one@v1.65.0"
    folder = CACHE / "jaeger"
    fresh, done = stamped(folder, wanted)
    if not fresh:
        say("building Jaeger, once (some minutes)")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        package = wanted.partition("@")[0]
        # A module of its own: as a tool of another one it does not resolve.
        run("go", "mod", "init", "jaeger", cwd=folder)
        run("go", "get", wanted, cwd=folder)
        run("go", "build", "-o", "all-in-one", package, cwd=folder)
        done()
    return folder / "all-in-one"


def edgespan(release=False):
    """The program under test: the one that EDGESPAN names, else cargo's."""
    named = os.environ.get("EDGESPAN")
    if named:
        return pathlib.Path(named).resolve()
    profile = ["--release"] if release else []
    say("building edgespan" + (" for release (some minutes the first time)" if release else ""))
    command = ["cargo", "build", "--locked", "--bin", "edgespan", *profile]
    run(*command, cwd=ROOT)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or "target")
    return ROOT / target / ("release" if release else "debug") / "edgespan"

import pytest

from scripts import bases, containers
from scripts.errors import SetupError


def test_pip_is_told_what_holds_in_a_container():
    settings = {
        "index-url": "https://user:word@mirror.example/simple",
        "extra-index-url": "https://a.example/simple\nhttps://b.example/simple",
        "find-links": "/opt/wheels",
        "cert": "/home/somebody/ca.pem",
        "timeout": "180",
    }
    assert containers.pip_file(settings).splitlines() == [
        "[global]",
        "index-url = https://user:word@mirror.example/simple",
        "extra-index-url = https://a.example/simple https://b.example/simple",
        "timeout = 180",
        "cert = /etc/ssl/certs/ca-certificates.crt",
    ]


def test_go_is_told_where_modules_are_and_nothing_else():
    settings = {
        "GOPROXY": "https://go.example,direct",
        "GOSUMDB": "off",
        "GOPRIVATE": "",
        "GOPATH": "/home/somebody/go",
    }
    assert containers.go_file(settings) == "GOPROXY=https://go.example,direct\nGOSUMDB=off\n"


def test_an_image_is_named_by_its_line_and_variant_and_never_latest():
    assert containers.Image.wanted({"LINE": "b"}) == containers.Image("b", "cpu", "lcr-ser:b-cpu", None, None)
    named = containers.Image.wanted(
        {"LINE": "a", "VARIANT": "gpu", "IMAGE": "mine:1", "BASE": "p:3.10", "GO_BASE": "g:1"}
    )
    assert named == containers.Image("a", "gpu", "mine:1", "p:3.10", "g:1")


@pytest.mark.parametrize(("name", "value"), [("LINE", "c"), ("VARIANT", "tpu")])
def test_an_unknown_line_or_variant_is_refused(name, value):
    with pytest.raises(SetupError, match=f"{name} should be . or .*|{name}.*Received: {value}"):
        containers.Image.wanted({"LINE": "a", name: value})


def test_only_a_debian_has_a_suite():
    debian = 'PRETTY_NAME="Debian GNU/Linux 12"\nID=debian\nVERSION_CODENAME=bookworm\n'
    assert bases.debian_suite(debian) == "bookworm"
    assert bases.debian_suite(debian.replace("ID=debian", "ID=ubuntu")) is None


def test_an_official_image_has_a_version():
    for image in (*bases.OFFICIAL.values(), bases.OFFICIAL_GO):
        tag = image.partition(":")[2]
        assert tag.count(".") == 2

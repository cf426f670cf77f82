import pytest

from scripts.mirror import pip_settings, uv_environment

ALWAYS = {"UV_COMPILE_BYTECODE_TIMEOUT": "600"}


def test_scopes_override_each_other_as_in_pip():
    listing = ":env:.index-url='https://env.example/simple'\nglobal.index-url='https://global.example/simple'\n"
    listing += "global.timeout='9'\ninstall.timeout='10'\n"
    assert pip_settings(listing) == {"index-url": "https://env.example/simple", "timeout": "10"}


def test_company_mirror_reaches_uv(tmp_path):
    certificates = tmp_path / "ca.pem"
    certificates.write_text("")
    settings = {
        "index-url": "https://mirror.example/simple",
        "extra-index-url": f"https://more.example/simple file://{tmp_path} file:///no/such/folder",
        "find-links": f"{tmp_path} /no/such/folder",
        "trusted-host": "mirror.example\nmore.example",
        "cert": str(certificates),
    }
    assert uv_environment(settings, {}, ()) == {
        **ALWAYS,
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "UV_INDEX": f"https://more.example/simple file://{tmp_path}",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": str(tmp_path),
        "UV_INSECURE_HOST": "mirror.example more.example",
        "SSL_CERT_FILE": str(certificates),
    }


def test_nothing_configured_adds_our_own_wishes_alone():
    assert uv_environment({}, {}, ()) == ALWAYS
    assert uv_environment({"find-links": "/no/such/folder", "cert": "/no/such/file"}, {}, ()) == ALWAYS


@pytest.mark.parametrize("present", [{"UV_SYSTEM_CERTS": "0"}, {"UV_NATIVE_TLS": "0"}, {}])
def test_uv_trusts_what_the_system_trusts_unless_the_user_has_decided(tmp_path, present):
    (tmp_path / "ca.pem").write_text("")
    trusted = [str(tmp_path / "none.pem"), str(tmp_path / "ca.pem")]
    assert uv_environment({}, present, trusted) == {**ALWAYS, **({} if present else {"UV_SYSTEM_CERTS": "1"})}
    # uv ends with "No CA certificates were loaded from the system".
    assert "UV_SYSTEM_CERTS" not in uv_environment({}, present, trusted[:1])


def test_what_the_user_set_for_uv_wins():
    settings = {"index-url": "https://mirror.example/simple"}
    mine = {"UV_DEFAULT_INDEX": "https://mine.example/simple", "UV_COMPILE_BYTECODE_TIMEOUT": "5"}
    assert uv_environment(settings, mine, ()) == {}

from scripts.mirror import pip_settings, uv_environment


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
    assert uv_environment(settings, {}) == {
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "UV_INDEX": f"https://more.example/simple file://{tmp_path}",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": str(tmp_path),
        "UV_INSECURE_HOST": "mirror.example more.example",
        "SSL_CERT_FILE": str(certificates),
    }


def test_nothing_configured_changes_nothing():
    assert uv_environment({}, {}) == {}
    assert uv_environment({"find-links": "/no/such/folder", "cert": "/no/such/file"}, {}) == {}


def test_what_the_user_set_for_uv_wins():
    settings = {"index-url": "https://mirror.example/simple"}
    assert uv_environment(settings, {"UV_DEFAULT_INDEX": "https://mine.example/simple"}) == {}

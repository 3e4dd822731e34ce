"""When certificates and tokens end, read without any library of certificates."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from xds.discovery.remote.expiry import credentials, judged, not_after, pem_not_after, token_expiry
from xds.discovery.remote.findings import Result

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def certificate(ends):
    return trustme.CA().issue_cert("example.org", not_after=ends).cert_chain_pems[0].bytes().decode()


def token(**claims):
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{part}.c2ln"


@pytest.mark.parametrize("year", [2027, 2049, 2050, 2199])  # from 2050 on the time has another form
def test_the_end_of_a_certificate(year):
    ends = datetime(year, 3, 4, 5, 6, 7, tzinfo=UTC)
    assert pem_not_after(certificate(ends)) == ends


@pytest.mark.parametrize("der", [b"", b"\x30", b"\x30\x03\x02\x01\x05", b"no certificate"])
def test_what_is_no_certificate(der):
    with pytest.raises(ValueError, match=r"."):
        not_after(der)


def test_the_end_of_a_token():
    assert token_expiry(token(exp=1_800_000_000)) == datetime.fromtimestamp(1_800_000_000, UTC)
    assert token_expiry(token(sub="x")) is None
    assert token_expiry("0123abcd.opaque") is None
    assert token_expiry("a.%%.c") is None


@pytest.mark.parametrize(
    ("left", "result", "words"),
    [
        (timedelta(days=90), Result.OK, "x: 90 days left, until 2027-02-23"),
        (timedelta(days=29), Result.WARNING, "x: 29 days left"),
        (timedelta(hours=5), Result.WARNING, "x: 5.0 hours left, until 2026-11-25"),
        (timedelta(0), Result.FAILED, "x has expired on 2026-11-25"),
    ],
)
def test_how_it_is_judged(left, result, words):
    found, told = judged("x", NOW + left, NOW)
    assert found is result
    assert told.startswith(words)


def test_every_way_to_authenticate(tmp_path):
    pem = certificate(NOW + timedelta(days=3, hours=1))
    (tmp_path / "client.pem").write_text(pem)
    (tmp_path / "token").write_text(token(exp=NOW.timestamp() - 1) + "\n")

    def told(**user):
        return credentials(user, tmp_path, NOW)

    inline = base64.b64encode(pem.encode()).decode()
    for user in ({"client-certificate-data": inline}, {"client-certificate": "client.pem"}):
        assert told(**user) == (Result.WARNING, "client certificate: 3 days left, until 2026-11-28")
    assert told(exec={"command": "aws"}) == (Result.OK, "by the plugin aws, which renews them")
    assert told(tokenFile="token") == (Result.FAILED, "the token in the file has expired")
    assert told(token=token(exp=NOW.timestamp() + 3600))[0] is Result.WARNING
    assert told(token="opaque") == (Result.OK, "token without an end")
    assert told() == (Result.WARNING, "neither token nor certificate")
    assert told(tokenFile="missing")[0] is Result.FAILED
    assert told(**{"client-certificate-data": "%"})[0] is Result.FAILED

"""The JSON API: its answers are those of `ask`, and bad requests get a status and a sentence."""

import json

import explored
import numpy as np
import pandas as pd
import pytest
import torch

pytest.importorskip("starlette", reason="the extra `explore` is not installed")

from pyro_priors.explore import Served, security, subjects

RAW = {"content-type": "application/octet-stream"}


@pytest.fixture(scope="module")
def client():
    with Served(subjects.subject_of(explored.law())) as served:
        yield explored.Client(served)


@pytest.fixture(scope="module")
def table():
    with Served(subjects.subject_of(explored.imputer())) as served:
        yield explored.Client(served)


@pytest.fixture(scope="module")
def images():
    with Served(subjects.subject_of(explored.program())) as served:
        yield explored.Client(served)


def base(client):
    return f"/{client.served.token}/"


def post(client, path, **body):
    response = client.post(f"{base(client)}api/{path}", json=body)
    assert response.status_code == 200, response.text
    return response.json()


# ---- answers


def test_answers_are_those_of_python(client):
    given = {"digit": 2, "age": {"low": -1, "high": None}, "size": [0, 2]}
    answer = post(client, "answer", given=given)
    said = {"digit": 2, "age": (-1, None), "size": [0, 2]}
    expected = subjects.ask(explored.law(), said)
    assert answer["variables"] == json.loads(json.dumps(expected["variables"]))
    assert answer["log_prob"] == pytest.approx(expected["log_prob"], abs=1e-9)


def test_the_model_and_its_page(client):
    model = client.get(f"{base(client)}api/model").json()
    assert [v["name"] for v in model["variables"]] == ["digit", "age", "size", "gaze[0]", "gaze[1]"]
    assert model["answer"]["variables"]["digit"]["probs"] == pytest.approx(
        explored.law().categorical("digit").probs.tolist(), abs=1e-6
    )
    page = client.get(base(client))
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for name in ("main.js", "style.css", "images.js", "icon.svg"):
        assert client.get(base(client) + name).status_code == 200
    assert "unsafe" not in page.headers["content-security-policy"]
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


def test_openapi_lists_all_that_is_served(client, table, images):
    for each, kind in ((client, "law"), (table, "table"), (images, "images")):
        document = each.get(f"{base(each)}api/openapi.json").json()
        assert document["openapi"].startswith("3.1")
        for path, methods in document["paths"].items():
            for method in methods:
                status = each.request(method, f"{base(each)}{path.lstrip('/')}", content=b"").status_code
                assert status != 404, (kind, path)
                assert status != 405, (kind, path)


def test_information(client):
    answer = client.get(f"{base(client)}api/information").json()
    assert len(answer["nats"]) == len(answer["names"]) == 5
    assert answer["nats"][0][0] is None


# ---- tables


def test_a_table_answers_as_its_imputer(table):
    imputer = explored.imputer()
    answer = post(table, "answer", given={"sport": "chess", "height": {"low": 165, "high": 170}})
    given = {"sport": "chess", "height": (165, 170)}
    row = imputer_row()
    low, high = imputer.interval(row, 0.9, given=given)
    weight = answer["variables"]["weight"]
    assert weight["interval"] == pytest.approx([low["weight"][0], high["weight"][0]], abs=1e-6)
    answer = post(table, "answer", given={"height": 170.0})
    row["height"] = 170.0
    assert answer["variables"]["weight"]["mean"] == pytest.approx(imputer.transform(row)["weight"][0], abs=1e-6)
    probs = imputer.proba(row, "sport").to_numpy()[0]
    np.testing.assert_allclose(answer["variables"]["sport"]["probs"], probs, atol=1e-6)
    assert answer["log_prob"] == pytest.approx(float(imputer.score_samples(row)[0]), abs=1e-6)


def imputer_row():
    return pd.DataFrame([dict.fromkeys(["height", "weight", "sport", "born"])])


def test_lines_of_python_of_a_table(table, tmp_path):
    explored.imputer().save(tmp_path)
    lines = (
        post(table, "answer", given={"height": 170.0})["python"].replace("'MODEL'", repr(str(tmp_path))).splitlines()
    )
    names: dict = {}
    exec("\n".join(line for line in lines if not line.startswith("imputer.")), names)
    probs = next(line for line in lines if line.startswith("imputer.proba"))
    expected = post(table, "answer", given={"height": 170.0})["variables"]["sport"]["probs"]
    np.testing.assert_allclose(eval(probs, names).to_numpy()[0], expected, atol=1e-6)


def test_a_dropped_csv_file_says_what_its_rows_know(table):
    content = b"height,weight,sport,born\n181.5,,chess,1991-02-03\n160,55.5,,\n"
    rows = table.post(f"{base(table)}api/rows", content=content).json()["rows"]
    assert rows == [{"height": 181.5, "sport": "chess", "born": "1991-02-03"}, {"height": 160.0, "weight": 55.5}]
    assert post(table, "answer", given=rows[0])["variables"]["weight"]["is"] == "open"


# ---- images


def test_draws_are_those_of_the_seed(images):
    first, again, other = (post(images, "draws", given={"digit": 1}, seed=s, count=3)["images"] for s in (4, 4, 5))
    assert first == again
    assert first != other
    assert len(first) == 3
    assert first[0].startswith("data:image/png;base64,")


def test_an_image_is_imputed_as_the_queries_do(images):
    from pyro_priors.queries import classify

    sent = images.post(f"{base(images)}api/image", content=explored.picture()).json()
    answer = post(images, "impute", image=sent["image"], draws=400, given={"slant": 0.2})
    torch.manual_seed(1)
    x = pixels_of(sent["shown"])
    y = torch.tensor([[torch.nan, 0.2]])
    expected = classify(explored.program(), x, y, 4000)["digit"][0]
    digit = answer["variables"]["digit"]
    for p, error, exact in zip(digit["probs"], digit["standard_error"], expected.tolist(), strict=True):
        assert abs(p - exact) < 5 * (error + 1e-4)
    assert answer["variables"]["slant"] == {"is": "set", "value": pytest.approx(0.2)}
    assert answer["exact"] is False


def pixels_of(address):
    import base64
    import io

    from PIL import Image

    image = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    return torch.from_numpy(np.array(image)).float()[None, None] / 255


def test_what_if_of_the_same_attributes_changes_nothing(images):
    sent = images.post(f"{base(images)}api/image", content=explored.picture()).json()
    same = post(images, "what-if", image=sent["image"], before={"digit": 1}, given={"digit": 1})
    assert same["before"] == same["after"]
    other = post(images, "what-if", image=sent["image"], before={"digit": 1}, given={"digit": 3, "slant": 0})
    assert other["before"] == same["before"]


# ---- refusals


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("answer", b"{", 400, "request: expected JSON"),
        ("answer", b"[1]", 400, "request: expected a JSON object"),
        ("answer", b'{"given": [1]}', 400, "given: expected an object"),
        ("answer", b'{"given": {"digit": 99}}', 400, "digit: expected one of 0..4, got 99"),
        ("answer", b'{"given": {"age": {"from": 1}}}', 400, "age: expected a range"),
        ("answer", b'{"given": {"age": NaN}}', 400, "age: expected a finite number"),
        ("answer", b'{"given": {"age": 1' + b"0" * 400 + b"}}", 400, "age: expected a finite number"),
        ("answer", b"[" * 100_000, 400, "request: expected JSON"),
        ("answer", b" " * (2**20 + 1), 413, "request: expected at most 1048576 bytes"),
        ("nothing", b"{}", 404, "Not Found"),
        ("rows", b"a,b\n1,2\n", 404, "Not Found"),
    ],
)
def test_bad_requests_get_a_sentence(client, path, body, status, message):
    response = client.post(f"{base(client)}api/{path}", content=body)
    assert response.status_code == status
    assert message in response.json()["error"]


def test_bad_files_get_a_sentence(table, images):
    response = table.post(f"{base(table)}api/rows", content=b"height,weight\n1,2\n", headers=RAW)
    assert response.status_code == 400
    assert "expected the columns" in response.json()["error"]
    response = images.post(f"{base(images)}api/image", content=b"no picture", headers=RAW)
    assert response.status_code == 400
    assert response.json()["error"].startswith("image: expected a picture")
    response = images.post(f"{base(images)}api/impute", json={"image": "gone"})
    assert response.json()["error"].startswith("image: expected one that was sent since the server started")
    response = images.post(f"{base(images)}api/draws", json={"count": 10_000})
    assert response.json()["error"] == "count: expected a whole number from 1 to 64, got 10000"


@pytest.mark.parametrize("path", ["wrong/", "wrong/api/model", "", "api/model", "tok%C3%A9n/api/model", "%ff/"])
def test_without_the_token_nothing_is_said(client, path):
    response = client.get(f"/{path}")
    assert response.status_code == 403
    assert response.json() == {"error": "token: expected the address that `pyro-priors explore` printed, got another"}
    assert response.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["../pyproject.toml", "..%2f..%2fapp.py", "static/main.js", "app.py", "%2e%2e/app.py"])
def test_no_path_of_the_disk_is_reached(client, path):
    assert client.get(base(client) + path).status_code in (403, 404)


def test_other_hosts_and_origins_are_refused(client):
    assert client.get(f"{base(client)}api/model", headers={"host": "evil.example"}).status_code == 421
    assert client.get(f"{base(client)}api/model", headers={"host": "127.0.0.1.evil.example:8000"}).status_code == 421
    refused = client.post(f"{base(client)}api/answer", json={}, headers={"origin": "http://evil.example"})
    assert refused.status_code == 403
    assert (
        client.post(f"{base(client)}api/answer", json={}, headers={"origin": f"http://{client.host}"}).status_code
        == 200
    )
    assert client.get(f"{base(client)}api/model", headers={"host": "localhost:8000"}).status_code == 200


def test_requests_without_a_length_are_counted(client, monkeypatch):
    monkeypatch.setattr(security, "LARGEST", 1000)
    response = client.post(f"{base(client)}api/answer", content=(b"x" * 400 for _ in range(5)))
    assert response.status_code == 413
    assert client.post(f"{base(client)}api/answer", content=b"x" * 2000).status_code == 413


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_ours_says_little(client, monkeypatch):
    monkeypatch.setattr(subjects.LawSubject, "answer", lambda *_: 1 / 0)
    response = client.post(f"{base(client)}api/answer", json={})
    assert response.status_code == 500
    assert response.json() == {"error": "the server failed to answer; its terminal says why"}

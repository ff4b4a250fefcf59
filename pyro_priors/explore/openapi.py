"""The OpenAPI document of the JSON API."""

from typing import Any

GIVEN = {
    "type": "object",
    "description": "By name of a variable: a value, a range, or a list of categories that it may have.",
    "additionalProperties": {
        "oneOf": [
            {"type": ["string", "number", "boolean"]},
            {
                "type": "object",
                "properties": {end: {"type": ["number", "string", "null"]} for end in ("low", "high")},
                "additionalProperties": False,
            },
            {"type": "array", "items": {"type": ["string", "number"]}, "minItems": 1},
        ]
    },
}
WHOLE = {"type": "integer", "minimum": 0}
VARIABLE = {
    "type": "object",
    "properties": {
        "is": {"enum": ["set", "limited", "open"]},
        "probs": {"type": "array", "items": {"type": "number"}, "description": "Of a category: exact."},
        "mean": {"type": "number"},
        "median": {"type": "number"},
        "interval": {"type": "array", "items": {"type": "number"}, "description": "Of 90 %."},
        "density": {"type": ["array", "null"], "description": "On the axis that `model` gives."},
        "points": {"type": "array", "description": "Values with a probability of their own: [value, probability]."},
        "change": {"type": ["number", "null"], "description": "KL from the law with nothing given, in nats."},
    },
}
ANSWER = {
    "type": "object",
    "properties": {
        "variables": {"type": "object", "additionalProperties": VARIABLE},
        "log_prob": {"type": ["number", "null"], "description": "Of what is given, in nats."},
        "exact": {"type": "boolean", "description": "False: several ranges go together, by weighted draws."},
        "python": {"type": "string", "description": "Lines that give the same answers."},
    },
}


def document(kind: str) -> dict[str, Any]:
    """Of the API over a subject of this kind: "law", "table" or "images"."""
    paths = {
        "/api/model": _get("The variables, their axes, and their laws with nothing given.", {"type": "object"}),
        "/api/information": _get("Mutual information of every two variables, in nats.", {"type": "object"}),
        "/api/answer": _post("The law of every variable given some.", {"given": GIVEN}, ANSWER),
    }
    if kind == "table":
        paths["/api/rows"] = _file("Rows of a CSV file as what may be given.", "text/csv")
    if kind == "images":
        drawn = {"given": GIVEN, "seed": WHOLE}
        paths["/api/image"] = _file("Keep an image, fitted to the model; answers its name.", "image/*")
        paths["/api/draws"] = _post("Images drawn given attributes.", {**drawn, "count": WHOLE}, {"type": "object"})
        seen = {**drawn, "image": {"type": "string"}, "draws": WHOLE}
        paths["/api/impute"] = _post("Attributes given an image: averages over draws.", seen, {"type": "object"})
        paths["/api/what-if"] = _post(
            "The image had its attributes been others.", {**seen, "before": GIVEN}, {"type": "object"}
        )
    info = {"title": "pyro_priors.explore", "version": "1", "description": "Paths follow the token of the address."}
    return {"openapi": "3.1.0", "info": info, "paths": paths}


def _responses(schema: dict[str, Any]) -> dict[str, Any]:
    error = {"type": "object", "properties": {"error": {"type": "string"}}}
    return {
        "200": {"description": "The answer.", "content": {"application/json": {"schema": schema}}},
        "4XX": {"description": "A sentence that says why.", "content": {"application/json": {"schema": error}}},
    }


def _get(summary: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"get": {"summary": summary, "responses": _responses(schema)}}


def _post(summary: str, properties: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    body = {"content": {"application/json": {"schema": {"type": "object", "properties": properties}}}}
    return {"post": {"summary": summary, "requestBody": body, "responses": _responses(schema)}}


def _file(summary: str, media: str) -> dict[str, Any]:
    body = {"content": {media: {"schema": {"type": "string", "format": "binary"}}}}
    return {"post": {"summary": summary, "requestBody": body, "responses": _responses({"type": "object"})}}

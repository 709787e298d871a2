"""Logging in: with the right password, and not by trying many."""

from __future__ import annotations

import uuid

import pytest
from django.contrib.auth.models import User
from django.test import Client

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery staple"


@pytest.fixture(autouse=True)
def quick_hashing(settings):
    """A slow hash would let the limits fill up again between two tries."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def name() -> str:
    """Of a member of staff whom no other test counts."""
    name = f"olga-{uuid.uuid4()}"
    User.objects.create_user(name, password=PASSWORD, is_staff=True)
    return name


def somewhere() -> str:
    """An address that no other test counts."""
    return ":".join(["2001:db8", *(uuid.uuid4().hex[at : at + 4] for at in (0, 4)), "0:0:0:1"])


def log_in(name: str, password: str, address: str):
    return Client(REMOTE_ADDR=address).post(
        "/admin/login/", {"username": name, "password": password}
    )


def test_the_right_password_opens_the_admin(name):
    assert log_in(name, PASSWORD, somewhere()).status_code == 302


def test_one_address_has_few_tries_and_the_right_password_does_not_help_then(name, settings):
    settings.ADMIN_LOGINS_PER_MINUTE = 1
    address = somewhere()
    assert "Please enter the correct username" in log_in(name, "x", address).content.decode()
    answer = log_in(name, PASSWORD, address)
    assert "Too many tries." in answer.content.decode()
    assert log_in(name, PASSWORD, somewhere()).status_code == 302


def test_one_name_has_few_tries_from_everywhere_together(name, settings):
    settings.ADMIN_LOGINS_PER_MINUTE = 1
    for _ in range(4):
        log_in(name.upper(), "x", somewhere())
    assert "Too many tries." in log_in(name, PASSWORD, somewhere()).content.decode()


def test_no_limit_is_a_choice(name, settings):
    settings.ADMIN_LOGINS_PER_MINUTE = 0
    address = somewhere()
    for _ in range(10):
        log_in(name, "x", address)
    assert log_in(name, PASSWORD, address).status_code == 302


def test_without_redis_staff_can_still_log_in(name, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    settings.ADMIN_LOGINS_PER_MINUTE = 1
    address = somewhere()
    assert log_in(name, "x", address).status_code == 200
    assert log_in(name, PASSWORD, address).status_code == 302


@pytest.mark.parametrize("username", ["\x00", "é" * 400, ""])
def test_no_name_breaks_the_login(db, username):
    assert log_in(username, "x", somewhere()).status_code == 200

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings
from stellar_sdk import Asset, Keypair

from stellar.signing import SecretKeySigner
from stellar.sources import HorizonSource
from tests.fixtures.horizon import OURS, FakeHorizon, serving
from tests.fixtures.network import RunningNetwork, running_network


@pytest.fixture
def horizon(settings: Settings) -> Iterator[FakeHorizon]:
    """A Horizon of canned answers, which the settings point at; `OURS` is our account on it."""
    fake = FakeHorizon()
    fake.passphrase = settings.NETWORK_PASSPHRASE
    keypair = Keypair.from_raw_ed25519_seed(b"OURS".ljust(32, b"0"))
    settings.DISTRIBUTION_ACCOUNT, settings.DISTRIBUTION_SECRET = OURS, keypair.secret
    settings.HORIZON_TIMEOUT_SECONDS = 5
    with serving(fake) as url:
        settings.HORIZON_URL = url
        yield fake


@pytest.fixture
def source(horizon: FakeHorizon) -> Iterator[HorizonSource]:
    with HorizonSource() as source:
        yield source


@pytest.fixture
def signer(horizon: FakeHorizon) -> SecretKeySigner:
    return SecretKeySigner()


@pytest.fixture(scope="session")
def _network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNetwork]:
    state_dir = tmp_path_factory.mktemp("network")
    passphrase = django_settings.NETWORK_PASSPHRASE
    with running_network(state_dir, passphrase=passphrase) as network:
        yield network


@pytest.fixture
def network(_network: RunningNetwork, settings: Settings) -> RunningNetwork:
    settings.HORIZON_URL = _network.url
    return _network


@pytest.fixture
def ours(network: RunningNetwork, settings: Settings) -> Keypair:
    """A distribution account of the test's own, funded with XLM."""
    keypair = network.funded_account()
    settings.DISTRIBUTION_ACCOUNT = keypair.public_key
    settings.DISTRIBUTION_SECRET = keypair.secret
    return keypair


@pytest.fixture
def issuer(network: RunningNetwork) -> Keypair:
    return network.funded_account()


@pytest.fixture
def usdc(issuer: Keypair) -> Asset:
    return Asset("USDC", issuer.public_key)

# syntax=docker/dockerfile:1
# Two images: `production` (the last stage, the default) is the service and nothing else;
# `localnet` adds the local Stellar network and the sandbox bank, for trying things out.
#
#   docker build -t landfall .
#   docker build -t landfall-localnet --target localnet .

FROM python:3.11-slim-bookworm AS base
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PATH=/opt/venv/bin:$PATH

# -- Packages ---------------------------------------------------------------------------------
FROM base AS packages
WORKDIR /build
COPY requirements.txt constraints.txt ./
RUN python -m venv /opt/venv \
    && pip install --no-cache-dir -r requirements.txt -c constraints.txt

FROM packages AS localnet-packages
# What localnet/ imports besides; the versions are those of constraints.txt.
RUN pip install --no-cache-dir starlette uvicorn httptools rich psutil -c constraints.txt

# pip has no use in what runs. Last, since both sets of packages need it.
FROM packages AS production-packages
RUN pip uninstall --yes --quiet setuptools pip

# -- Sources: what .dockerignore lets in, apart from what only localnet gets -------------------
FROM base AS source
COPY . /source/service
RUN cd /source && mv service/localnet . && rm -r service/deploy service/*.txt

# -- The service ------------------------------------------------------------------------------
FROM base AS service
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent landfall \
    # A volume takes over the owner of the folder that it first covers.
    && install -d -o landfall -g landfall -m 0700 /keys/anchor /keys/payments
WORKDIR /app
COPY --from=source /source/service ./
COPY --chmod=0755 deploy/run-with-keys deploy/when-migrated deploy/migrate /usr/local/bin/
ENTRYPOINT ["run-with-keys"]

# -- The local network and the sandbox bank ---------------------------------------------------
FROM service AS localnet
COPY --from=localnet-packages /opt/venv /opt/venv
COPY --from=source /source/localnet ./localnet
RUN install -d -o landfall -g landfall -m 0700 /keys/bank /keys/stage /state && python -m compileall -q /app
USER 10001:10001
CMD ["python", "-m", "localnet.network", "--host", "0.0.0.0", "--state-dir", "/state"]

# -- Production -------------------------------------------------------------------------------
FROM service AS production
COPY --from=production-packages /opt/venv /opt/venv
# The settings want their variables to be there; collecting static files uses none of them.
RUN READ_DOT_ENV=false SECRET_KEY=- JWT_KEYS=- SEALING_KEYS=- SIGNING_SECRET=- \
    DISTRIBUTION_ACCOUNT=- ASSET_ISSUER=- DATABASE_URL=postgres://- \
    python manage.py collectstatic --noinput --verbosity 0 \
    && python -m compileall -q /app
USER 10001:10001
EXPOSE 8000
# gunicorn reads both; it listens on every address. On SIGTERM it first answers what it has. A proxy
# that keeps its connections has to close them before we do, or a request meets a closed one: 75
# seconds are more than what proxies keep them for.
ENV PORT=8000 WEB_CONCURRENCY=2
CMD ["gunicorn", "anchor.wsgi", "--worker-class", "gthread", "--threads", "4", \
     "--keep-alive", "75", "--worker-tmp-dir", "/dev/shm", "--graceful-timeout", "20", "--no-control-socket"]

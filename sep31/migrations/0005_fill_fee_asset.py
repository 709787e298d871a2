import uuid

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations, models

BATCH = 5000
# All fees so far are in what came in. In primary-key order, like everybody who locks transactions.
FILL = """
    WITH batch AS (
        SELECT id FROM sep31_transaction
        WHERE id > %s AND amount_fee_asset IS NULL
        ORDER BY id LIMIT %s FOR NO KEY UPDATE
    )
    UPDATE sep31_transaction AS old SET amount_fee_asset = old.amount_in_asset
    FROM batch WHERE old.id = batch.id RETURNING old.id
"""
# A valid check spares SET NOT NULL from reading the table while all others wait.
FORBID_NULL = [
    "ALTER TABLE sep31_transaction DROP CONSTRAINT IF EXISTS transaction_fee_asset_known",
    """
    ALTER TABLE sep31_transaction ADD CONSTRAINT transaction_fee_asset_known
        CHECK (amount_fee_asset IS NOT NULL) NOT VALID
    """,
]
SET_NOT_NULL = [
    "ALTER TABLE sep31_transaction VALIDATE CONSTRAINT transaction_fee_asset_known",
    "ALTER TABLE sep31_transaction ALTER COLUMN amount_fee_asset SET NOT NULL",
    "ALTER TABLE sep31_transaction DROP CONSTRAINT transaction_fee_asset_known",
]
ALLOW_NULL = "ALTER TABLE sep31_transaction ALTER COLUMN amount_fee_asset DROP NOT NULL"


def fill(apps, schema_editor):
    last = uuid.UUID(int=0)
    with schema_editor.connection.cursor() as cursor:
        while True:
            cursor.execute(FILL, [last, BATCH])
            filled = [row[0] for row in cursor.fetchall()]
            if not filled:
                return
            last = max(filled)


class Migration(migrations.Migration):
    """Each batch commits by itself, and nobody waits longer than for one of them. Whatever stops
    it half-way, it can be run again."""

    atomic = False

    dependencies = [("sep31", "0004_fee_asset")]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.RunSQL(FORBID_NULL, migrations.RunSQL.noop),
        # What a process of the version before inserted meanwhile.
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.RunSQL(
            SET_NOT_NULL,
            ALLOW_NULL,
            state_operations=[
                migrations.AlterField(
                    model_name="transaction",
                    name="amount_fee_asset",
                    field=models.CharField(
                        max_length=80,
                        help_text="What comes in or what goes out, as the pair has it.",
                    ),
                ),
            ],
        ),
        ValidateConstraint(model_name="transaction", name="transaction_amount_fee_asset"),
        ValidateConstraint(model_name="transaction", name="transaction_amount_fee"),
    ]

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import F, Q


class Migration(migrations.Migration):
    """Quick on a table of any size: no row is read or written. 0005 fills the column."""

    dependencies = [("sep31", "0003_extensions")]

    operations = [
        migrations.AddField(
            model_name="transaction",
            name="amount_fee_asset",
            field=models.CharField(
                max_length=80,
                null=True,
                help_text="What comes in or what goes out, as the pair has it.",
            ),
        ),
        migrations.AlterField(
            model_name="transaction",
            name="amount_fee",
            field=models.DecimalField(
                max_digits=19,
                decimal_places=7,
                null=True,
                blank=True,
                help_text="In amount_fee_asset.",
            ),
        ),
        migrations.RemoveConstraint(model_name="transaction", name="transaction_amount_fee"),
        AddConstraintNotValid(
            model_name="transaction",
            constraint=models.CheckConstraint(
                condition=Q(amount_fee_asset=F("amount_in_asset"))
                | Q(amount_fee_asset=F("amount_out_asset")),
                name="transaction_amount_fee_asset",
            ),
        ),
        AddConstraintNotValid(
            model_name="transaction",
            constraint=models.CheckConstraint(
                condition=Q(amount_fee__isnull=True)
                | (
                    Q(amount_fee__gte=0)
                    & (Q(amount_fee_asset=F("amount_out_asset")) | Q(amount_fee__lt=F("amount_in")))
                ),
                name="transaction_amount_fee",
            ),
        ),
    ]

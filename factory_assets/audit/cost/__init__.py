"""What a pipeline would cost, from what its runs have cost: by rows, by machine, by hour. Measuring
belongs in `factory_resources.metering`, the cost of a version in `execution.costs`."""

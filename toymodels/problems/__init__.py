"""Problems: (init, sample, loss), the only place where data, models and losses meet."""

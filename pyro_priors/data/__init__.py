"""Images and what their attributes mean: public sets, and the user's own folder."""

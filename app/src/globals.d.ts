/** Whether this build carries the scripted backend. */
declare const __DEMO__: boolean;

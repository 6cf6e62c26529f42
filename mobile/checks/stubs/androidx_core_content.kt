// A part of androidx.core, by its signatures alone.
@file:Suppress("UNUSED_PARAMETER", "unused")

package androidx.core.content

import android.content.Context
import android.content.Intent

object ContextCompat {
    @JvmStatic fun checkSelfPermission(context: Context, permission: String): Int = TODO()
    @JvmStatic fun startForegroundService(context: Context, intent: Intent) = Unit
}
